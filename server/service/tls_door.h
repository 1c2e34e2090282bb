// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_TLS_DOOR_H_
#define LOCKHOST_SERVER_SERVICE_TLS_DOOR_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "common/token_bucket.h"
#include "server/directory/tls_counters.h"
#include "server/directory/vm_record.h"
#include "server/service/accept_loop.h"
#include "server/service/address_limit.h"
#include "server/service/listener.h"
#include "server/service/tls_stream.h"
#include "server/service/vm_server.h"
#include "server/tls/tls_context.h"
#include "server/tls/tls_guests.h"

namespace lockhost::server {

// What peers that have not shown a certificate yet may do. REQUIRES: nothing is 0.
struct HandshakeLimits {
  uint32_t accepts_per_second = 32;
  uint32_t accept_burst = 64;
  uint32_t address_accepts_per_second = 16;  // of one peer's address
  uint32_t address_accept_burst = 32;
  uint32_t handshakes = 64;               // at the same time
  uint64_t handshake_ns = 5'000'000'000;  // for one

  bool operator==(const HandshakeLimits&) const = default;
};

// The TLS listener: leads each connection through its handshake, and gives it to the server of
// the VM that its certificate stands for (TlsGuests); limits are then that VM's. Who connects
// too fast from one address is turned away before it costs the others' share. When there are
// too many handshakes the oldest gives way: whoever means it is through in two round trips.
// Connections that stand stay when files or configuration change.
//
// Thread-safe; handshakes on the wire's thread, which so spends a signature for each
// connection, and no more of them than HandshakeLimits allow.
class TlsDoor final : private ConnectionSource {
 public:
  struct Rules {
    std::shared_ptr<const TlsContext> context;
    std::vector<TlsGuests::Guest> guests;
    HandshakeLimits limits;
  };

  // `wire` and `counters` outlive the door.
  static absl::StatusOr<std::unique_ptr<TlsDoor>> Open(Listener listener, Rules rules, Wire* wire,
                                                       TlsCounters* counters);
  ~TlsDoor();
  TlsDoor(const TlsDoor&) = delete;
  TlsDoor& operator=(const TlsDoor&) = delete;

  // For connections that come from now on.
  void SetRules(Rules rules);
  // A VM has these facts and that server, which stays until Remove() has returned.
  void Put(const VmFacts& facts, VmServer* server);
  void Remove(uint64_t vm_id);

 private:
  struct Pending {
    std::unique_ptr<TlsStream> stream;
    uint64_t until_ns;
  };
  using At = std::list<Pending>::iterator;

  TlsDoor(Listener listener, Rules rules, UniqueFd epoll, UniqueFd timer, Wire* wire,
          TlsCounters* counters);
  absl::Status Watch(int fd);
  int listener_fd() const override { return epoll_.get(); }
  uint64_t Accept(uint64_t now_ns) override;
  void TakeConnections(uint64_t now_ns);
  bool ComesTooFast(int connection, uint64_t now_ns);
  void Begin(UniqueFd connection, uint64_t now_ns);
  void Continue(int fd, uint64_t now_ns);
  void Admit(At at, uint64_t now_ns);
  void Refuse(At at, TlsRefusal why);
  void PauseListener(uint64_t until_ns);
  void Expire(uint64_t now_ns);

  Listener listener_;
  // The listener, the handshakes' sockets and the timer: one descriptor for the wire to watch.
  const UniqueFd epoll_;
  const UniqueFd timer_;
  Wire* const wire_;
  TlsCounters* const counters_;
  std::mutex mutex_;  // guards all below
  Rules rules_;
  TokenBucket accepts_;
  AddressLimit addresses_;
  TlsGuests guests_;
  std::map<uint64_t, VmServer*> servers_;  // by VM
  std::list<Pending> pending_;             // the oldest first
  uint64_t paused_until_ns_ = 0;           // 0: the listener is waited for
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_TLS_DOOR_H_
