// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_PEER_STREAM_H_
#define LOCKHOST_SERVER_SERVICE_PEER_STREAM_H_

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "common/unique_fd.h"

namespace lockhost::server {

// A peer's connection as the relay sees it: plain bytes, whatever the socket carries.
// Receive() and Send() may meet, each is called by one thread at a time.
class PeerStream {
 public:
  struct Received {
    size_t bytes = 0;           // in the portion
    size_t overhead_bytes = 0;  // came through the socket besides
    bool over = false;          // the peer has closed, or broken the transport
    bool more = false;          // ask again: the socket may not tell of what is left
  };

  virtual ~PeerStream() = default;
  // Non-blocking; becomes readable and writable as sockets do.
  virtual int fd() const = 0;
  // There are bytes here already that the socket will not tell of.
  virtual bool HasMore() const = 0;
  // What there is, at most a portion. Reads the socket once at most.
  virtual Received Receive(std::span<char> portion) = 0;
  // Sends what it can of `text` and cuts that off. What it leaves is to be given to it again,
  // unchanged. False: the peer is gone.
  virtual bool Send(std::string* text) = 0;
};

// Nothing but the socket.
class SocketStream final : public PeerStream {
 public:
  explicit SocketStream(UniqueFd fd) : fd_(std::move(fd)) {}
  int fd() const override { return fd_.get(); }
  bool HasMore() const override { return false; }
  Received Receive(std::span<char> portion) override;
  bool Send(std::string* text) override;

 private:
  const UniqueFd fd_;
};

// Sends what it can of `text` and cuts that off. False: the other side is gone.
bool SendSome(int fd, std::string* text);
// A result of recv() or send() that is no error.
bool WouldBlock(ssize_t result);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_PEER_STREAM_H_
