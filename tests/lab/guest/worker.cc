// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/guest/worker.h"

#include "client/lock/watch_word.h"
#include "tests/lab/guest/hypercall.h"

namespace lockhost::lab {
namespace {

Worker& Self(void* context) { return *static_cast<Worker*>(context); }

int PlatformWait(void* context, uint32_t* word, uint32_t expected, uint64_t timeout_ns,
                 const lockhost_waiting* waiting) {
  return Self(context).Wait(word, expected, timeout_ns, *waiting);
}
int PlatformKick(void* context, uint32_t* word) { return Self(context).Kick(word); }
uint32_t PlatformWatch(void*, const uint32_t* word, uint32_t* seen) {
  return lock::WatchWord(word, seen);
}
uint64_t PlatformTicks(void*) { return __builtin_ia32_rdtsc(); }
void PlatformPause(void* context, const lockhost_waiting* waiting) {
  Self(context).Pause(waiting->awaited_vcpu);
}
uint32_t PlatformCurrentVcpu(void* context) { return Self(context).vcpu(); }
lockhost_thread* PlatformSelf(void* context) { return &Self(context).thread(); }
uint64_t PlatformNowNs(void* context) { return Self(context).NowNs(); }
void PlatformRing(void* context, lockhost_report_header* reports) { Self(context).Ring(reports); }

const lockhost_platform kPlatform = {
    .wait = PlatformWait,
    .kick = PlatformKick,
    .watch = PlatformWatch,
    .ticks = PlatformTicks,
    .pause = PlatformPause,
    .current_vcpu = PlatformCurrentVcpu,
    .self = PlatformSelf,
    .now_ns = PlatformNowNs,
    .ring = PlatformRing,
};

template <typename T>
T* At(LabAddress address) {
  return reinterpret_cast<T*>(address);
}

lockhost_pages PagesOf(const RunConfig& config) {
  lockhost_pages pages = {};
  pages.lease = At<const lockhost_hint_header>(config.lease);
  pages.hints = At<const lockhost_hint_header>(config.hints);
  pages.reports = At<lockhost_report_header>(config.reports);
  pages.hint_slots = config.hint_slots;
  pages.report_slots = config.report_slots;
  return pages;
}

}  // namespace

Worker::Worker(const RunConfig& config, uint32_t vcpu)
    : config_(config),
      vcpu_(vcpu),
      block_(At<VcpuBlock>(config.vcpu_blocks)[vcpu]),
      shared_(*At<SharedArea>(config.shared)),
      env_{.platform = &kPlatform,
           .context = this,
           .pages = PagesOf(config),
           .operations = nullptr,
           .threads = nullptr},
      thread_{.report = vcpu + 1, .held = 0, .native_word = nullptr, .number = 0, .turns = {}},
      observer_(config_, env_.pages, block_) {}

bool Worker::Wait(uint32_t* word, uint32_t expected, uint64_t timeout_ns,
                  const lockhost_waiting& waiting) {
  observer_.BeginPark(waiting, __atomic_load_n(word, __ATOMIC_RELAXED) == expected);
  block_.args.address = reinterpret_cast<LabAddress>(word);
  block_.args.expected = expected;
  block_.args.timeout_ns = timeout_ns;
  Hypercall(Port::kWait);
  const bool woken = block_.args.value != 0;
  observer_.EndPark(__atomic_load_n(word, __ATOMIC_RELAXED) == expected);
  return woken;
}

bool Worker::Kick(uint32_t* word) {
  ++block_.stats.kicks;
  block_.args.address = reinterpret_cast<LabAddress>(word);
  Hypercall(Port::kKick);
  return block_.args.value != 0;
}

void Worker::Ring(lockhost_report_header* reports) {
  block_.args.address = reinterpret_cast<LabAddress>(&reports->bell);
  Hypercall(Port::kRing);
}

}  // namespace lockhost::lab
