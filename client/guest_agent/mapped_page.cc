// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/mapped_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/unique_fd.h"

namespace lockhost::guest_agent {
namespace {

absl::StatusOr<size_t> SizeOf(int fd, const std::string& path) {
  struct stat status;
  if (fstat(fd, &status) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("look at ", path));
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  return static_cast<size_t>(status.st_size);
}

absl::Status GiveSize(int fd, const std::string& path, size_t bytes, mode_t mode) {
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("size ", path));
  }
  if (fchmod(fd, mode) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("chmod ", path));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MappedPage> MappedPage::Open(const std::string& path, size_t least_bytes,
                                            size_t wanted_bytes, mode_t mode) {
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  absl::StatusOr<size_t> bytes = SizeOf(fd.get(), path);
  if (!bytes.ok()) return bytes.status();
  if (*bytes == 0) {
    if (absl::Status sized = GiveSize(fd.get(), path, wanted_bytes, mode); !sized.ok()) {
      return sized;
    }
    bytes = wanted_bytes;
  }
  if (*bytes < least_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", *bytes, " bytes, a page needs at least ", least_bytes));
  }
  void* memory = mmap(nullptr, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, absl::StrCat("map ", path));
  return MappedPage(memory, *bytes);
}

MappedPage::MappedPage(MappedPage&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}

MappedPage::~MappedPage() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

}  // namespace lockhost::guest_agent
