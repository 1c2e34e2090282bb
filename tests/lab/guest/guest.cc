// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/guest/guest.h"

#include "tests/lab/guest/hypercall.h"
#include "tests/lab/guest/queue_subjects.h"
#include "tests/lab/guest/subjects.h"
#include "tests/lab/guest/worker.h"

namespace lockhost::lab {
namespace {

// Keeps the CPU busy for so many turns; the VMM knows how long one takes. A chain of
// multiplications, each waiting for the one before: as fast beside a busy hyperthread,
// and wherever the loop comes to lie. One copy, so that what is measured is what runs.
[[gnu::noinline]] void Compute(uint64_t turns) {
  uint64_t chain = turns;
  for (; turns != 0; --turns) __asm__ volatile("imul %0, %0" : "+r"(chain));
}

// What the lock is for, and how it is known to work.
void CriticalSection(SharedArea& shared, VcpuStats& stats, uint64_t turns) {
  const uint64_t entered = shared.entered;
  if (entered != shared.left) ++stats.exclusion_errors;
  shared.entered = entered + 1;
  Compute(turns);
  shared.left = shared.left + 1;
}

template <typename Lock>
void Contend(const RunConfig& config, Worker& self) {
  Observer& observer = self.observer();
  VcpuStats& stats = self.stats();
  while (!self.stopped()) {
    const uint64_t begun = observer.Tsc();
    observer.BeginWait();
    Lock::Lock(self);
    if constexpr (!Lock::kReports) self.ReportHeld(true);
    const uint64_t acquired = observer.Tsc();
    observer.EndWait(acquired);
    stats.acquire.Add(acquired > begun ? acquired - begun : 0);
    CriticalSection(self.shared(), stats, config.critical_loops);
    // Before the unlock, which may wake a sleeper while it holds nothing any more.
    if constexpr (!Lock::kReports) self.ReportHeld(false);
    Lock::Unlock(self);
    ++stats.acquisitions;
    Compute(config.gap_loops);
  }
}

void StayBusy(const RunConfig& config, Worker& self) {
  while (!self.stopped()) {
    const uint64_t begun = self.observer().Tsc();
    Compute(config.critical_loops);
    const uint64_t ended = self.observer().Tsc();
    self.stats().acquire.Add(ended - begun);
    __atomic_store_n(&self.stats().last_seen_ns, config.clock.ToNs(ended), __ATOMIC_RELEASE);
    ++self.stats().acquisitions;
  }
}

void Run(const RunConfig& config, uint32_t vcpu) {
  Worker self(config, vcpu);
  switch (config.subject) {
    case Subject::kTestAndSet:
      return Contend<TestAndSet>(config, self);
    case Subject::kTicket:
      return Contend<Ticket>(config, self);
    case Subject::kSpinThenFutex:
      return Contend<SpinThenFutex>(config, self);
    case Subject::kLockhostNoHints:
    case Subject::kLockhostGrpc:
    case Subject::kLockhostDirect:
    case Subject::kLockhostBoost:
      return Contend<Lockhost>(config, self);
    case Subject::kMcs:
      return Contend<Mcs>(config, self);
    case Subject::kPvTicket:
      return Contend<PvTicket>(config, self);
    case Subject::kPvQspinlock:
      return Contend<PvQspinlock>(config, self);
    case Subject::kBusy:
      return StayBusy(config, self);
  }
  ++self.stats().unknown_subject;
}

// Lets the VMM compare this vCPU's TSC with its own, as often as it likes.
void TellClock(VcpuBlock& block) {
  block.args.value = ReadTsc();
  Hypercall(Port::kClock);
}

}  // namespace
}  // namespace lockhost::lab

// Not const in there: the VMM rewrites the run while this vCPU is parked.
extern "C" void LockhostLabGuest(const lockhost::lab::RunConfig* config, uint64_t vcpu) {
  using lockhost::lab::Port;
  auto* blocks = reinterpret_cast<lockhost::lab::VcpuBlock*>(config->vcpu_blocks);
  const auto id = static_cast<uint32_t>(vcpu);
  for (int i = 0; i < 32; ++i) lockhost::lab::TellClock(blocks[id]);
  while (lockhost::lab::Hypercall(Port::kPark)) lockhost::lab::Run(*config, id);
}
