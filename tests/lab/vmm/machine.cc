// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/vmm/machine.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::lab {

Machine::Machine(uint32_t vcpus, GuestMemory memory)
    : vcpus_(vcpus), memory_(std::move(memory)), hypercalls_(&space_), gate_(vcpus), tids_(vcpus) {}

absl::StatusOr<LabAddress> Machine::Show(Region region, void* host, size_t bytes, bool writable) {
  const AddressSpace::Entry entry = {.address = AddressOf(region, host),
                                     .host = static_cast<std::byte*>(host),
                                     .bytes = bytes,
                                     .writable = writable};
  if (absl::Status attached = Attach(region, entry); !attached.ok()) return attached;
  space_.Set(region, entry);
  return entry.address;
}

absl::Status Machine::Hide(Region region) {
  if (space_.Get(region).host == nullptr) return absl::OkStatus();
  space_.Clear(region);
  return Detach(region);
}

RunConfig& Machine::PrepareRun() {
  RunConfig& config = memory_.config();
  const LabAddress ram = space_.Get(Region::kRam).address;
  config = {};
  config.vcpus = vcpus_;
  config.clock = clock_.Now();
  config.shared = ram + kSharedArea;
  config.vcpu_blocks = ram + kVcpuBlocks;
  std::memset(static_cast<void*>(&memory_.shared()), 0, sizeof(SharedArea));
  for (uint32_t i = 0; i < vcpus_; ++i) memory_.block(i).stats = {};
  return config;
}

void Machine::EnterThread(uint32_t vcpu) {
  pthread_setname_np(pthread_self(), absl::StrCat("lab-vcpu ", vcpu).c_str());
  tids_[vcpu] = static_cast<pid_t>(syscall(SYS_gettid));
  sigset_t all_but_realtime;
  sigfillset(&all_but_realtime);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) sigdelset(&all_but_realtime, signal);
  pthread_sigmask(SIG_SETMASK, &all_but_realtime, nullptr);
}

}  // namespace lockhost::lab
