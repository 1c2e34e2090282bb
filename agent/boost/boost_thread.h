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

  // As the thread knew them last.
  BoostFigures Figures(uint32_t vm_index) const;
  // For BoostLogReader; stays this object's.
  int log_fd() const { return log_.fd(); }

 private:
  using Work = std::function<void(BoostThread&)>;
  using FigureWords = std::array<uint64_t, sizeof(BoostFigures) / sizeof(uint64_t)>;

  BoostThread(BoostLogWriter log, std::unique_ptr<HostPlatform> platform, Clock clock)
      : log_(std::move(log)), platform_(std::move(platform)), clock_(clock) {}
  absl::Status Open(const BoostFeed& feed);
  static int OnEvent(void* self, void* data, size_t size);
  void Post(Work work);
  void DoPostedWork();
  void Run();
  void SetTimer(uint64_t at_ns);
  void Publish();

  BoostLogWriter log_;
  const std::unique_ptr<HostPlatform> platform_;
  const Clock clock_;
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
