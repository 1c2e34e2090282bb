// SPDX-License-Identifier: Apache-2.0
//
// Guests that write down all they hear, beside what the VMs' tables say meanwhile.
#ifndef LOCKHOST_TESTS_LOAD_SUPPORT_RECORDER_H_
#define LOCKHOST_TESTS_LOAD_SUPPORT_RECORDER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/table/table_reader.h"
#include "tests/load/support/hint_clients.h"
#include "tests/load/support/history.h"

namespace lockhost::load {

// One thread for all guests. Other functions are for the thread that made it.
class Recorder {
 public:
  struct Guest {
    std::string socket;
    const agent::TableReader* table;  // outlives the recorder
    uint32_t vcpus;
  };
  Recorder(std::vector<Guest> guests, HintClients::Options options);
  ~Recorder() { Stop(); }

  // Every guest has a stream that was opened after `since_ns` and has received a snapshot.
  bool AllResumed(uint64_t since_ns) const;
  uint64_t deltas() const { return deltas_; }
  // Delivery of stops since the last call, of all guests; as the benchmark's fan-out.
  std::vector<double> TakeDeliveryUs();

  // Nothing is recorded any more. Index: guest.
  void Stop();
  // REQUIRES: Stop().
  std::vector<History>& histories() { return histories_; }

 private:
  struct Seen {
    std::atomic<uint64_t> begun_ns{0};
    std::atomic<uint64_t> resumed_ns{0};  // when the stream that had a snapshot was begun
    std::vector<uint64_t> revisions;      // in the table, of each vCPU
    std::vector<uint64_t> told;           // by messages
  };

  void OnMessage(size_t guest, const v1::WatchHintsResponse& message, uint64_t received_ns);
  void ReadTables();
  void ReadTable(size_t guest);
  void NoteDelivery(size_t guest, const v1::VcpuHint& hint, uint64_t received_ns);

  const std::vector<Guest> guests_;
  std::vector<History> histories_;
  std::vector<std::unique_ptr<Seen>> seen_;
  std::atomic<uint64_t> deltas_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::vector<double> delivery_us_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace lockhost::load

#endif  // LOCKHOST_TESTS_LOAD_SUPPORT_RECORDER_H_
