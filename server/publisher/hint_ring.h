// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_PUBLISHER_HINT_RING_H_
#define LOCKHOST_SERVER_PUBLISHER_HINT_RING_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "agent/channel/protocol.h"
#include "common/unique_fd.h"

struct ring_buffer;

namespace lockhost::server {

// The reading end of the BPF ring of hint events. Works without any capability: the
// agent has opened the map, all we do is map it. Not thread-safe.
class HintRing {
 public:
  // Takes the descriptor of a BPF_MAP_TYPE_RINGBUF map. Errors: what libbpf says.
  static absl::StatusOr<std::unique_ptr<HintRing>> Open(UniqueFd fd);
  ~HintRing();
  HintRing(const HintRing&) = delete;
  HintRing& operator=(const HintRing&) = delete;

  // Readable when there are events.
  int epoll_fd() const;

  // Calls `on_event` for each event there is, `on_invalid` for each record of another
  // size; does not block.
  void Consume(const std::function<void(const agent::HintEvent&)>& on_event,
               const std::function<void()>& on_invalid);

 private:
  explicit HintRing(UniqueFd fd) : fd_(std::move(fd)) {}
  static int OnRecord(void* context, void* data, size_t size);

  UniqueFd fd_;
  ring_buffer* ring_ = nullptr;
  const std::function<void(const agent::HintEvent&)>* on_event_ = nullptr;
  const std::function<void()>* on_invalid_ = nullptr;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_PUBLISHER_HINT_RING_H_
