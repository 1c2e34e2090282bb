// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_VMM_SHARED_MEMORY_H_
#define LOCKHOST_TESTS_LAB_VMM_SHARED_MEMORY_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::lab {

// A mapping of a file descriptor, unmapped at the end. Thread-safe (immutable).
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  // Maps `bytes` (rounded up to whole pages) of `fd`, shared.
  static absl::StatusOr<Mapping> Map(int fd, size_t bytes, bool writable);

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Mapping(void* data, size_t bytes) : data_(data), bytes_(bytes) {}
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Memory that other processes may be given: a memfd, zeroed, mapped here.
class SharedMemory {
 public:
  static absl::StatusOr<SharedMemory> Create(const char* name, size_t bytes);

  int fd() const { return fd_.get(); }
  void* data() const { return mapping_.data(); }
  size_t bytes() const { return mapping_.bytes(); }

 private:
  UniqueFd fd_;
  Mapping mapping_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_VMM_SHARED_MEMORY_H_
