// SPDX-License-Identifier: Apache-2.0
#include "server/service/tls_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <string_view>

namespace lockhost::server {
namespace {

constexpr size_t kPortionBytes = 16 * 1024;
// Two flights of a client, with a certificate chain as large as we take.
constexpr size_t kMostHandshakeBytes = 64 * 1024;
// What a peer may make us answer by itself (key updates) before it reads any of it.
constexpr size_t kMostUnsentBytes = 64 * 1024;

}  // namespace

TlsSession::Progress TlsStream::Handshake() {
  char portion[kPortionBytes];
  const ssize_t size = recv(fd_.get(), portion, sizeof(portion), MSG_DONTWAIT);
  if (size == 0 || (size < 0 && !WouldBlock(size))) return TlsSession::Progress::kFailed;
  if (size > 0) {
    handshake_bytes_ += static_cast<size_t>(size);
    if (handshake_bytes_ > kMostHandshakeBytes) return TlsSession::Progress::kFailed;
    session_->Feed({portion, static_cast<size_t>(size)});
  }
  const TlsSession::Progress progress = session_->Handshake();
  // Of a failure the peer is told why.
  const std::lock_guard lock(mutex_);
  session_->TakeOutgoing(&outgoing_);
  return Flush() ? progress : TlsSession::Progress::kFailed;
}

bool TlsStream::HasMore() const {
  const std::lock_guard lock(mutex_);
  return session_->HasMore();
}

PeerStream::Received TlsStream::Receive(std::span<char> portion) {
  const std::lock_guard lock(mutex_);
  TlsSession::Plain plain = session_->Read(portion);
  // The socket was not asked: it has told of what it has once, and will not again.
  if (plain.bytes > 0 || plain.over) {
    return {.bytes = plain.bytes, .over = plain.over, .more = true};
  }
  char cipher[kPortionBytes];
  const ssize_t size = recv(fd_.get(), cipher, sizeof(cipher), MSG_DONTWAIT);
  if (WouldBlock(size)) return {};
  if (size <= 0) return {.over = true};
  const size_t bytes = static_cast<size_t>(size);
  session_->Feed({cipher, bytes});
  plain = session_->Read(portion);
  session_->TakeOutgoing(&outgoing_);
  const bool gone = !Flush() || outgoing_.size() > kMostUnsentBytes;
  return {.bytes = plain.bytes,
          .overhead_bytes = bytes - std::min(bytes, plain.bytes),
          .over = plain.over || gone,
          .more = bytes == sizeof(cipher) || plain.bytes == portion.size()};
}

bool TlsStream::Send(std::string* text) {
  const std::lock_guard lock(mutex_);
  if (!encrypted_) {
    if (!session_->Write(*text)) return false;
    session_->TakeOutgoing(&outgoing_);
    encrypted_ = true;
  }
  if (!Flush()) return false;
  if (!outgoing_.empty()) return true;
  encrypted_ = false;
  text->clear();
  return true;
}

bool TlsStream::Flush() { return outgoing_.empty() || SendSome(fd_.get(), &outgoing_); }

}  // namespace lockhost::server
