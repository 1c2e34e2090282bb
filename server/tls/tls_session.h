// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_TLS_TLS_SESSION_H_
#define LOCKHOST_SERVER_TLS_TLS_SESSION_H_

#include <openssl/ssl.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/directory/tls_counters.h"
#include "server/tls/tls_context.h"

namespace lockhost::server {

// The server's end of one TLS connection, in memory: whoever owns it moves the bytes between
// it and a socket. So what it does at once is bounded by what it is fed at once. Not
// thread-safe.
class TlsSession {
 public:
  // Null: no memory.
  static std::unique_ptr<TlsSession> Accept(const TlsContext& context);

  // What came from the peer. Its cost is paid by the next call of another function.
  void Feed(std::string_view bytes);
  // Appends to `outgoing` what is to be sent to the peer.
  void TakeOutgoing(std::string* outgoing);

  enum class Progress { kWantsMore, kDone, kFailed };
  Progress Handshake();
  // REQUIRES: Handshake() has said kFailed.
  TlsRefusal why() const { return why_; }
  // Names of the peer's certificate (see NamesOf), which the CA has signed. REQUIRES:
  // Handshake() has said kDone, as for all below.
  std::vector<std::string> PeerNames() const;

  struct Plain {
    size_t bytes = 0;
    bool over = false;  // the peer has closed, or broken the protocol
  };
  // Plain bytes of what was fed.
  Plain Read(std::span<char> into);
  // What was fed, and was not read as a whole yet.
  bool HasMore() const;
  // False: the session is broken.
  bool Write(std::string_view text);

 private:
  using Handle = std::unique_ptr<SSL, decltype(&SSL_free)>;
  TlsSession(Handle session, BIO* from_peer, BIO* to_peer)
      : session_(std::move(session)), from_peer_(from_peer), to_peer_(to_peer) {}
  TlsRefusal Reason() const;

  const Handle session_;
  BIO* const from_peer_;  // the session's, as is the next
  BIO* const to_peer_;
  TlsRefusal why_ = TlsRefusal::kHandshake;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_TLS_TLS_SESSION_H_
