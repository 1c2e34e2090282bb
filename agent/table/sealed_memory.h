// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_TABLE_SEALED_MEMORY_H_
#define LOCKHOST_AGENT_TABLE_SEALED_MEMORY_H_

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

// Memory that one process writes and others read, in which neither side can harm the
// other: the agent's tables without BPF, and its page about the host.
namespace lockhost::agent {

// A memfd with the only writable mapping of it there will ever be; nobody can resize it.
// Whoever gets fd() can map it read-only, and nothing else. Movable.
class SealedMemory {
 public:
  static absl::StatusOr<SealedMemory> Create(const char* name, size_t bytes);
  SealedMemory(SealedMemory&& other) noexcept
      : fd_(std::move(other.fd_)),
        memory_(std::exchange(other.memory_, nullptr)),
        bytes_(other.bytes_) {}
  SealedMemory& operator=(SealedMemory&&) = delete;
  ~SealedMemory();

  int fd() const { return fd_.get(); }
  void* data() const { return memory_; }

 private:
  SealedMemory(UniqueFd fd, void* memory, size_t bytes)
      : fd_(std::move(fd)), memory_(memory), bytes_(bytes) {}

  UniqueFd fd_;
  void* memory_;
  size_t bytes_;
};

// A read-only mapping of such a memfd, or of a frozen BPF array, that another process has
// handed over. Movable; the descriptor stays the caller's and may be closed.
class SealedView {
 public:
  // INVALID_ARGUMENT: somebody could shrink what the descriptor names (a read would then
  // end in SIGBUS) or write it through another descriptor, or it has fewer than `bytes`.
  static absl::StatusOr<SealedView> Map(int fd, size_t bytes);
  SealedView(SealedView&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}
  SealedView& operator=(SealedView&&) = delete;
  ~SealedView();

  const void* data() const { return memory_; }

 private:
  SealedView(void* memory, size_t bytes) : memory_(memory), bytes_(bytes) {}

  void* memory_;
  size_t bytes_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_TABLE_SEALED_MEMORY_H_
