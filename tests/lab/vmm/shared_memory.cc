// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/vmm/shared_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lockhost::lab {

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

absl::StatusOr<Mapping> Mapping::Map(int fd, size_t bytes, bool writable) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t whole = (bytes + page - 1) / page * page;
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* data = mmap(nullptr, whole, protection, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, absl::StrCat("mapping ", whole, " bytes of fd ", fd));
  }
  return Mapping(data, whole);
}

absl::StatusOr<SharedMemory> SharedMemory::Create(const char* name, size_t bytes) {
  SharedMemory memory;
  memory.fd_ = UniqueFd(memfd_create(name, MFD_CLOEXEC));
  if (!memory.fd_.valid()) return absl::ErrnoToStatus(errno, "memfd_create");
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (ftruncate(memory.fd_.get(), static_cast<off_t>((bytes + page - 1) / page * page)) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("sizing memfd ", name));
  }
  absl::StatusOr<Mapping> mapping = Mapping::Map(memory.fd_.get(), bytes, /*writable=*/true);
  if (!mapping.ok()) return mapping.status();
  memory.mapping_ = *std::move(mapping);
  return memory;
}

}  // namespace lockhost::lab
