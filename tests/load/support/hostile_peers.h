// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LOAD_SUPPORT_HOSTILE_PEERS_H_
#define LOCKHOST_TESTS_LOAD_SUPPORT_HOSTILE_PEERS_H_

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>

namespace lockhost::load {

// A guest that behaves as badly as it can, in a thread, until the end: peers that never read,
// that say half a greeting or nothing at all and stay, garbage, truncated and oversized
// frames, and storms of connections; in random order, the same for the same seed.
class HostilePeers {
 public:
  // `socket`: of the VM that the peers belong to.
  HostilePeers(std::string socket, uint32_t seed);
  ~HostilePeers() { Stop(); }

  void Stop();
  uint64_t attempts() const { return attempts_; }  // to connect
  uint64_t connections() const { return connections_; }

 private:
  void Run();
  void Act(uint32_t action);
  // One connection that sends `bytes` and stays until it is closed, or for a while.
  void Stay(const std::string& bytes, bool deaf);
  void Storm();
  std::string Garbage(size_t bytes);

  const std::string socket_;
  std::minstd_rand random_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> attempts_{0};
  std::atomic<uint64_t> connections_{0};
  std::thread thread_;
};

}  // namespace lockhost::load

#endif  // LOCKHOST_TESTS_LOAD_SUPPORT_HOSTILE_PEERS_H_
