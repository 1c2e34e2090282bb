// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_TINY_VM_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_TINY_VM_H_

#include <linux/kvm.h>
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// The smallest VM that the agent can find: real KVM vCPUs that spin in guest code at CPL
// 3, each in a thread of the test's own process, and that can be parked in the VMM.
//
// Where there is no KVM, its threads alone can stand in for vCPUs: they spin or sleep in
// user code, the scheduler and BPF treat them as they would vCPUs, and the agent must be
// told of them (AgentClient::RegisterVcpus). A halted one is seen as EXITED.
class TinyVm {
 public:
  enum class Guest { kSpins, kHalts };
  enum class Backend { kKvm, kThreads };

  // UNAVAILABLE: no KVM here. Its vCPUs have the ids 0, 1, ...; no thread runs them yet.
  static absl::StatusOr<std::unique_ptr<TinyVm>> Create(int vcpus, Guest guest = Guest::kSpins,
                                                        Backend backend = Backend::kKvm);
  // By KVM; where there is none, of threads.
  static absl::StatusOr<std::unique_ptr<TinyVm>> CreateAny(int vcpus, Guest guest = Guest::kSpins);
  ~TinyVm();
  TinyVm(const TinyVm&) = delete;
  TinyVm& operator=(const TinyVm&) = delete;

  bool is_kvm() const { return backend_ == Backend::kKvm; }

  // For threads that are started afterwards. By default they are bound to the first CPU:
  // vCPUs preempt one another, and whoever looks on from another CPU does not.
  void RunAnywhere() { bound_ = false; }
  // Wakes each vCPU out of HLT so often; it halts again at once. For threads that are
  // started afterwards.
  void TickEvery(std::chrono::microseconds period) { tick_ = period; }

  // Starts a thread that runs the vCPU (-1: none yet), named as the lab's. Returns the
  // thread's number. REQUIRES: no other thread runs that vCPU.
  int StartThread(int vcpu);
  // Makes the thread leave its vCPU (-1: for none) and run this one.
  void Assign(int thread, int vcpu);
  void JoinThread(int thread);
  // Makes the thread do this, outside KVM_RUN, and go on. Returns when it has begun.
  void Do(int thread, std::function<void()> job);
  pid_t tid(int thread) const { return threads_[static_cast<size_t>(thread)]->tid; }
  // What the agent must be told where there is no KVM. Index: vCPU; 0: no thread runs it.
  std::vector<pid_t> VcpuThreads() const;
  // Called from StartThread() and Assign(), when a thread has been given a vCPU. Not when it gives
  // that up, or ends: the agent must notice by itself.
  void OnVcpuThread(std::function<void()> hook) { on_vcpu_thread_ = std::move(hook); }

  // A file of KVM's statistics of that vCPU, as a VMM may keep it open.
  absl::StatusOr<UniqueFd> OpenStats(int vcpu) const;

  // Takes the vCPU out of guest code; its thread sleeps in the VMM until Unpark().
  void Park(int vcpu);
  void Unpark(int vcpu);

  // Has KVM keep the vCPU's steal time in guest memory. REQUIRES: no thread runs it yet.
  absl::Status KeepStealRecord(int vcpu);
  // What the guest would read there.
  uint64_t GuestStealNs(int vcpu) const;

 private:
  struct Vcpu {
    UniqueFd fd;
    kvm_run* run = nullptr;
    bool parked = false;
  };
  struct VcpuThread {
    std::thread thread;
    pid_t tid = 0;
    int vcpu = -1;
    bool stop = false;
    std::function<void()> job;
  };

  TinyVm(Guest guest, Backend backend) : guest_(guest), backend_(backend) {}
  absl::Status MakeKvm(int vcpus);
  absl::Status MapMemory();
  absl::Status GiveMemory();
  absl::Status MakeVcpu(int id);
  absl::Status SetRegisters(const Vcpu& vcpu, int id);
  uint32_t* command(int vcpu) const;
  void RunThread(VcpuThread* thread);
  void Enter(int vcpu);
  void StartTicking() const;

  const Guest guest_;
  const Backend backend_;
  UniqueFd kvm_;
  UniqueFd vm_;
  uint8_t* memory_ = nullptr;
  size_t run_bytes_ = 0;
  bool bound_ = true;
  std::chrono::microseconds tick_{0};
  std::function<void()> on_vcpu_thread_ = [] {};
  std::vector<Vcpu> vcpus_;
  std::vector<std::unique_ptr<VcpuThread>> threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_TINY_VM_H_
