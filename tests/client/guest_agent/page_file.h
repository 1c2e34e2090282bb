// SPDX-License-Identifier: Apache-2.0
//
// A file in a directory of the test's own, and what a reader of the page sees in it.
#ifndef LOCKHOST_TESTS_CLIENT_GUEST_AGENT_PAGE_FILE_H_
#define LOCKHOST_TESTS_CLIENT_GUEST_AGENT_PAGE_FILE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "client/page/hint_reader.h"

namespace lockhost::guest_agent {

class TestDirectory {
 public:
  TestDirectory() {
    char pattern[] = "/tmp/lockhost-test-XXXXXX";
    path_ = mkdtemp(pattern);
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline void MakeFile(const std::string& path, size_t bytes) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(ftruncate(fd, static_cast<off_t>(bytes)), 0);
  close(fd);
}

inline mode_t ModeOf(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(stat(path.c_str(), &status), 0);
  return status.st_mode & 0777;
}

// A page as an application maps it.
template <typename Header>
class Mapped {
 public:
  explicit Mapped(const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct stat status {};
    EXPECT_EQ(fstat(fd, &status), 0);
    bytes_ = static_cast<size_t>(status.st_size);
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT_NE(memory_, MAP_FAILED);
    close(fd);
  }
  ~Mapped() { munmap(memory_, bytes_); }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  Header* operator->() const { return static_cast<Header*>(memory_); }
  Header* get() const { return static_cast<Header*>(memory_); }
  size_t bytes() const { return bytes_; }

 private:
  void* memory_;
  size_t bytes_ = 0;
};

using HintView = Mapped<lockhost_hint_header>;
using ReportView = Mapped<lockhost_report_header>;

// What the lock would read.
inline uint32_t ReadHint(const HintView& page, uint32_t vcpu_id, uint64_t now_ns) {
  const uint32_t slots = lockhost_check_hint_page(page.get(), page.bytes());
  const lockhost_pages pages = {page.get(), page.get(), nullptr, slots, 0};
  return lockhost_read_hint(&pages, vcpu_id, now_ns);
}

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_TESTS_CLIENT_GUEST_AGENT_PAGE_FILE_H_
