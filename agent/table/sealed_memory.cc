// SPDX-License-Identifier: Apache-2.0
#include "agent/table/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lockhost::agent {
namespace {

bool IsBpfMap(int fd) {
  char target[64];
  const ssize_t size = readlink(absl::StrCat("/proc/self/fd/", fd).c_str(), target, sizeof(target));
  return size > 0 && std::string_view(target, static_cast<size_t>(size)) == "anon_inode:bpf-map";
}

absl::Status TooShort() {
  return absl::InvalidArgumentError("shared memory is shorter than its contents should be");
}

// A BPF map can neither shrink nor, once it is frozen, be mapped writable, and mmap itself
// refuses to map more than it has.
absl::Status CheckDescriptor(int fd, size_t bytes) {
  struct stat status;
  if (fstat(fd, &status) != 0) return absl::ErrnoToStatus(errno, "look at shared memory");
  if (IsBpfMap(fd)) return absl::OkStatus();
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError("shared memory is a BPF map or a memfd");
  }
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) return absl::InvalidArgumentError("shared memory in a file is a memfd");
  constexpr int kNeeded = F_SEAL_SHRINK | F_SEAL_GROW;
  if ((seals & kNeeded) != kNeeded || (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) == 0) {
    return absl::InvalidArgumentError("a memfd must be sealed against resizing and writing");
  }
  if (status.st_size < 0 || static_cast<size_t>(status.st_size) < bytes) return TooShort();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SealedMemory> SealedMemory::Create(const char* name, size_t bytes) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("make memfd ", name));
  if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("size memfd ", name));
  }
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, absl::StrCat("map memfd ", name));
  SealedMemory made(std::move(fd), memory, bytes);
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  if (fcntl(made.fd(), F_ADD_SEALS, kSeals) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("seal memfd ", name));
  }
  return made;
}

SealedMemory::~SealedMemory() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

absl::StatusOr<SealedView> SealedView::Map(int fd, size_t bytes) {
  if (absl::Status status = CheckDescriptor(fd, bytes); !status.ok()) return status;
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) return SealedView(memory, bytes);
  if (errno == EINVAL) return TooShort();
  return absl::ErrnoToStatus(errno, "map shared memory");
}

SealedView::~SealedView() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

}  // namespace lockhost::agent
