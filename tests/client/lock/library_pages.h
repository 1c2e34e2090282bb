// SPDX-License-Identifier: Apache-2.0
//
// Pages as a guest agent makes them, and processes that attach to them.
#ifndef LOCKHOST_TESTS_CLIENT_LOCK_LIBRARY_PAGES_H_
#define LOCKHOST_TESTS_CLIENT_LOCK_LIBRARY_PAGES_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "client/page/hint_page.h"
#include "client/page/report_page.h"

namespace lockhost {

inline constexpr uint32_t kSlots = 64;

// A page in a memfd that a process attaches to by its /proc/self/fd name.
class SharedPage {
 public:
  explicit SharedPage(size_t bytes) : bytes_(bytes), fd_(memfd_create("page", MFD_ALLOW_SEALING)) {
    if (ftruncate(fd_, static_cast<off_t>(bytes)) != 0) abort();
    if (fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK) != 0) abort();
    address_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (address_ == MAP_FAILED) abort();
  }
  template <typename T>
  T* as() {
    return static_cast<T*>(address_);
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  int fd() const { return fd_; }
  size_t bytes() const { return bytes_; }

 private:
  const size_t bytes_;
  const int fd_;
  void* address_;
};

// Runs `body` in a process of its own, because a process attaches only once.
template <typename Body>
void InChild(Body body) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    body();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int result = 0;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  EXPECT_TRUE(WIFEXITED(result) && WEXITSTATUS(result) == 0) << "status " << result;
}

struct Pages {
  Pages() : hints(LOCKHOST_HINT_PAGE_BYTES(kSlots)), reports(LOCKHOST_REPORT_PAGE_BYTES(kSlots)) {
    auto* header = hints.as<lockhost_hint_header>();
    header->abi_version = LOCKHOST_PAGE_ABI_VERSION;
    header->header_size = sizeof(lockhost_hint_header);
    header->slot_stride = sizeof(lockhost_hint_slot);
    header->slot_count = kSlots;
    header->valid_until_ns = UINT64_MAX;
    header->magic = LOCKHOST_HINT_PAGE_MAGIC;
    auto* report_header = reports.as<lockhost_report_header>();
    report_header->abi_version = LOCKHOST_PAGE_ABI_VERSION;
    report_header->slot_count = kSlots;
    report_header->magic = LOCKHOST_REPORT_PAGE_MAGIC;
    setenv("LOCKHOST_HINT_PAGE", hints.path().c_str(), 1);
    setenv("LOCKHOST_REPORT_PAGE", reports.path().c_str(), 1);
  }
  SharedPage hints, reports;
};

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_CLIENT_LOCK_LIBRARY_PAGES_H_
