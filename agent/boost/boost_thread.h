// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_BOOST_THREAD_H_
#define LOCKHOST_AGENT_BOOST_BOOST_THREAD_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "absl/status/statusor.h"
#include "agent/boost/boost_feed.h"
#include "agent/boost/boost_requests.h"
#include "agent/boost/booster.h"
#include "agent/boost/host_platform.h"
#include "agent/boost/ledger.h"
#include "agent/kernel/procfs.h"
#include "common/clock.h"
#include "common/unique_fd.h"

struct ring_buffer;

namespace lockhost::agent {

// The booster on a real-time thread of its own, which sleeps until the kernel tells of a
// preempted lock holder, and whose wake-up therefore costs nothing while nobody waits.
//
// Thread-safe: what is asked of it goes to the thread through a pipe, in order.
class BoostThread {
 public:
  // REQUIRES: mechanism is not kNone. `ledger` and `procfs` must outlive it. Errors: this
  // thread may not be real time, or the feed cannot be read.
  static absl::StatusOr<std::unique_ptr<BoostThread>> Start(const BoostFeed& feed,
                                                            const BoostLimits& limits,
                                                            BoostMechanism mechanism,
                                                            Ledger* ledger, const Procfs* procfs,
                                                            Clock clock);
  // Ends every boost.
  ~BoostThread();
  BoostThread(const BoostThread&) = delete;
  BoostThread& operator=(const BoostThread&) = delete;

  void AddVm(uint64_t vm_id, uint32_t vm_index, std::shared_ptr<const TableReader> table);
  void RemoveVm(uint32_t vm_index);
  // nullopt: all VMs, also those to come.
  void SetEnabled(std::optional<uint32_t> vm_index, bool enabled);
  void SetRepays(uint32_t vm_index, bool repays);

  // Some thread that runs a vCPU of that VM now; 0: none does.
  int32_t SomeVcpuThread(uint32_t vm_index) const { return platform_->SomeOwner(vm_index); }

  // As the thread knew them last.
  BoostFigures Figures(uint32_t vm_index) const;
  // For BoostLogReader; stays this object's.
  int log_fd() const { return log_.fd(); }
  // Where lockhostd may ask for boosts (BoostRequests); stays this object's.
  int requests_fd() const { return requests_.peer_fd(); }
  // Whoever asked there broke the protocol, and is not heard any more.
  bool requests_ended() const { return requests_ended_.load(std::memory_order_relaxed); }

 private:
  using Work = std::function<void(BoostThread&)>;
  using FigureWords = std::array<uint64_t, sizeof(BoostFigures) / sizeof(uint64_t)>;

  BoostThread(BoostLogWriter log, std::unique_ptr<HostPlatform> platform, BoostRequests requests,
              Clock clock)
      : log_(std::move(log)),
        platform_(std::move(platform)),
        clock_(clock),
        requests_(std::move(requests)) {}
  absl::Status Open(const BoostFeed& feed);
  static int OnEvent(void* self, void* data, size_t size);
  void Post(Work work);
  void DoPostedWork();
  uint64_t TakeRequests();
  void Run();
  void SetTimer(uint64_t at_ns);
  void Publish();

  BoostLogWriter log_;
  const std::unique_ptr<HostPlatform> platform_;
  const Clock clock_;
  BoostRequests requests_;
  std::atomic<bool> requests_ended_{false};
  uint64_t requests_from_ns_ = 0;  // not to be taken, nor waited for, until then; 0: now
  std::unique_ptr<Booster> booster_;
  UniqueFd work_in_, work_out_;  // a pipe of Work*
  UniqueFd timer_, epoll_;
  ring_buffer* ring_ = nullptr;
  bool stop_ = false;
  std::array<std::array<std::atomic<uint64_t>, std::tuple_size_v<FigureWords>>, LH_MAX_VMS>
      published_{};
  std::thread thread_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_BOOST_THREAD_H_
