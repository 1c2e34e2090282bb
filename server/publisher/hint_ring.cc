// SPDX-License-Identifier: Apache-2.0
#include "server/publisher/hint_ring.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace lockhost::server {

absl::StatusOr<std::unique_ptr<HintRing>> HintRing::Open(UniqueFd fd) {
  std::unique_ptr<HintRing> ring(new HintRing(std::move(fd)));
  ring->ring_ = ring_buffer__new(ring->fd_.get(), &HintRing::OnRecord, ring.get(), nullptr);
  if (ring->ring_ == nullptr) return absl::ErrnoToStatus(errno, "map the hint ring");
  return ring;
}

HintRing::~HintRing() { ring_buffer__free(ring_); }

int HintRing::epoll_fd() const { return ring_buffer__epoll_fd(ring_); }

void HintRing::Consume(const std::function<void(const agent::HintEvent&)>& on_event,
                       const std::function<void()>& on_invalid) {
  on_event_ = &on_event;
  on_invalid_ = &on_invalid;
  ring_buffer__consume(ring_);
}

int HintRing::OnRecord(void* context, void* data, size_t size) {
  auto* self = static_cast<HintRing*>(context);
  if (size != sizeof(agent::HintEvent)) {
    (*self->on_invalid_)();
    return 0;
  }
  agent::HintEvent event;
  std::memcpy(&event, data, sizeof(event));
  (*self->on_event_)(event);
  return 0;
}

}  // namespace lockhost::server
