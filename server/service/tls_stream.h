// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_TLS_STREAM_H_
#define LOCKHOST_SERVER_SERVICE_TLS_STREAM_H_

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/service/peer_stream.h"
#include "server/tls/tls_session.h"

namespace lockhost::server {

// A TLS session on a socket. First Handshake(), by one thread, then what all streams do.
class TlsStream final : public PeerStream {
 public:
  // `fd` is non-blocking.
  TlsStream(UniqueFd fd, std::unique_ptr<TlsSession> session)
      : fd_(std::move(fd)), session_(std::move(session)) {}

  // Goes on as far as what came allows; reads one portion of the socket at most. A peer that
  // is gone, or that needs more bytes than a handshake should, has kFailed.
  TlsSession::Progress Handshake();
  // As of TlsSession.
  TlsRefusal why() const { return session_->why(); }
  std::vector<std::string> PeerNames() const { return session_->PeerNames(); }

  int fd() const override { return fd_.get(); }
  bool HasMore() const override;
  Received Receive(std::span<char> portion) override;
  bool Send(std::string* text) override;

 private:
  bool Flush();

  const UniqueFd fd_;
  size_t handshake_bytes_ = 0;
  mutable std::mutex mutex_;
  const std::unique_ptr<TlsSession> session_;  // guarded by mutex_ after the handshake
  std::string outgoing_;                       // guarded by mutex_; for the socket
  bool encrypted_ = false;  // guarded by mutex_: the text to send is in outgoing_ already
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_TLS_STREAM_H_
