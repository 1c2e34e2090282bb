// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_MAPPED_PAGE_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_MAPPED_PAGE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace lockhost::guest_agent {

// A file mapped shared and writable: the hint page or the report page. Owns the
// mapping, not the file: applications have it mapped, so it is never removed or
// shrunk. Not thread-safe itself; what the memory means is the page ABI's business.
class MappedPage {
 public:
  // Opens `path`, creating the file when it is missing. An empty file is sized to
  // `wanted_bytes` and gets the permissions `mode`, whatever the umask; another is
  // taken as it is. Errors: INVALID_ARGUMENT it is no regular file, or shorter than
  // `least_bytes`.
  static absl::StatusOr<MappedPage> Open(const std::string& path, size_t least_bytes,
                                         size_t wanted_bytes, mode_t mode);

  MappedPage(MappedPage&& other) noexcept;
  MappedPage& operator=(MappedPage&& other) = delete;
  ~MappedPage();

  void* memory() const { return memory_; }
  size_t bytes() const { return bytes_; }

 private:
  MappedPage(void* memory, size_t bytes) : memory_(memory), bytes_(bytes) {}

  void* memory_;
  size_t bytes_;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_MAPPED_PAGE_H_
