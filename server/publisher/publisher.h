// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_PUBLISHER_PUBLISHER_H_
#define LOCKHOST_SERVER_PUBLISHER_PUBLISHER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/unique_fd.h"
#include "server/directory/vm_record.h"
#include "server/interest/interest_map.h"
#include "server/publisher/hint_ring.h"
#include "server/publisher/hint_sink.h"
#include "server/publisher/publisher_core.h"
#include "server/publisher/publisher_stats.h"
#include "server/publisher/real_time_budget.h"

namespace lockhost::server {

// The publisher's thread: sleeps on the hint ring, on messages from the other threads
// and on the next heartbeat; owns all streams (PublisherCore). From the ring to gRPC
// there is no other thread: see "The wake-up trap" in server/README.md. Where it is allowed to, it
// runs as a real-time thread while that costs little (RealTimeBudget).
//
// Thread-safe: every call is a message to the thread, and returns at once.
class Publisher {
 public:
  // `transport` and `stats` outlive the publisher. Starts the thread.
  static absl::StatusOr<std::unique_ptr<Publisher>> Start(PublisherCore::Options options,
                                                          Clock clock, HintTransport* transport,
                                                          PublisherStats* stats);
  // Ends the thread. REQUIRES: Drain() was called and is through, or no stream was ever
  // opened.
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // As the functions of PublisherCore. `ring` and `interest` may be null.
  void AgentHere(std::unique_ptr<HintRing> ring, std::unique_ptr<InterestMap> interest);
  void AgentGone();
  void PutVm(std::shared_ptr<VmRecord> record);
  void RemoveVm(uint64_t vm_id);
  void AddStream(uint64_t vm_id, std::unique_ptr<HintSink> sink);
  // What can wait is applied when the thread next wakes for another reason.
  void ApplyDemand(uint64_t vm_id, DemandUpdate update);

  // The generation by which guests know a table.
  uint64_t GenerationOf(const agent::TableReader& table) const {
    return GuestGeneration(table, instance_);
  }

  // Ends all streams with UNAVAILABLE, and waits until that is done or `deadline_ns` of
  // time has passed; streams opened later end at once.
  void Drain(uint64_t deadline_ns);

 private:
  struct AgentHereCommand {
    std::unique_ptr<HintRing> ring;
    std::unique_ptr<InterestMap> interest;
  };
  struct AgentGoneCommand {};
  struct PutVmCommand {
    std::shared_ptr<VmRecord> record;
  };
  struct RemoveVmCommand {
    uint64_t vm_id;
  };
  struct AddStreamCommand {
    uint64_t vm_id;
    std::unique_ptr<HintSink> sink;
  };
  struct DemandCommand {
    uint64_t vm_id;
    DemandUpdate update;
  };
  struct DrainCommand {};
  using Command = std::variant<AgentHereCommand, AgentGoneCommand, PutVmCommand, RemoveVmCommand,
                               AddStreamCommand, DemandCommand, DrainCommand>;

  Publisher(PublisherCore::Options options, Clock clock, HintTransport* transport,
            PublisherStats* stats, UniqueFd wake, UniqueFd epoll);
  void Post(Command command, bool wake = true);
  void Run();
  void BePrompt(uint64_t now_ns);
  bool RunCommands(uint64_t now_ns);
  void Do(AgentHereCommand& command, uint64_t now_ns);
  void Do(AgentGoneCommand& command, uint64_t now_ns);
  void Do(PutVmCommand& command, uint64_t now_ns);
  void Do(RemoveVmCommand& command, uint64_t now_ns);
  void Do(AddStreamCommand& command, uint64_t now_ns);
  void Do(DemandCommand& command, uint64_t now_ns);
  void Do(DrainCommand& command, uint64_t now_ns);
  void ConsumeRing();
  void SetRing(std::unique_ptr<HintRing> ring);

  const uint64_t instance_;
  const Clock clock_;
  PublisherStats* const stats_;
  const UniqueFd wake_;   // eventfd: commands are there
  const UniqueFd epoll_;  // wake_ and the ring
  std::mutex mutex_;
  std::vector<Command> inbox_;  // guarded by mutex_
  bool on_its_way_ = false;     // guarded by mutex_; the thread was woken for the inbox
  std::atomic<bool> stop_{false};
  std::atomic<bool> idle_{true};      // no stream is open, nor closing
  std::atomic<uint64_t> drains_ = 0;  // that the thread has begun
  // The thread's own:
  std::vector<Command> commands_;
  std::unique_ptr<HintRing> ring_;
  PublisherCore core_;
  RealTimeBudget real_time_budget_;
  bool may_be_real_time_ = true;
  std::function<void(const agent::HintEvent&)> on_event_;
  std::function<void()> on_invalid_;
  std::thread thread_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_PUBLISHER_PUBLISHER_H_
