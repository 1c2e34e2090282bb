// SPDX-License-Identifier: Apache-2.0
#include "client/lock/attach.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace lockhost::lock {
namespace {

class AttachTest : public testing::Test {
 protected:
  ~AttachTest() override {
    for (const int fd : fds_) close(fd);
  }
  // A memfd with these bytes, as a path.
  std::string Write(const std::string& bytes, int seals = F_SEAL_SHRINK) {
    return "/proc/self/fd/" + std::to_string(Page(bytes, seals));
  }
  int Page(const std::string& bytes, int seals = F_SEAL_SHRINK) {
    const int fd = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    fds_.push_back(fd);
    return fd;
  }
  template <typename Header>
  static std::string Bytes(const Header& header, size_t slots_bytes) {
    std::string bytes(sizeof(header) + slots_bytes, '\0');
    memcpy(bytes.data(), &header, sizeof(header));
    return bytes;
  }
  static lockhost_hint_header GoodHints() {
    lockhost_hint_header header = {};
    header.magic = LOCKHOST_HINT_PAGE_MAGIC;
    header.abi_version = LOCKHOST_PAGE_ABI_VERSION;
    header.header_size = sizeof(lockhost_hint_header);
    header.slot_stride = sizeof(lockhost_hint_slot);
    header.slot_count = 8;
    return header;
  }
  static lockhost_report_header GoodReports() {
    lockhost_report_header header = {};
    header.magic = LOCKHOST_REPORT_PAGE_MAGIC;
    header.abi_version = LOCKHOST_PAGE_ABI_VERSION;
    header.slot_count = 8;
    return header;
  }
  lockhost_status_code_t Map(const std::string& hints, const std::string& reports) {
    return MapPageFiles(hints.c_str(), reports.c_str(), &pages_);
  }

  std::vector<int> fds_;
  lockhost_pages pages_ = {};
};

TEST_F(AttachTest, MapsBothPages) {
  const std::string hints = Write(Bytes(GoodHints(), 8 * 64));
  const std::string reports = Write(Bytes(GoodReports(), 8 * 128));
  EXPECT_EQ(Map(hints, reports), LOCKHOST_STATUS_HINTS);
  EXPECT_EQ(pages_.hint_slots, 8u);
  EXPECT_EQ(pages_.report_slots, 8u);
}

TEST_F(AttachTest, MissingPage) {
  EXPECT_EQ(Map("/nonexistent/hints", "/nonexistent/reports"), LOCKHOST_STATUS_NO_PAGE);
  EXPECT_EQ(pages_.hints, nullptr);
}

TEST_F(AttachTest, AnEmptyFileIsABadPage) {
  EXPECT_EQ(Map(Write(""), ""), LOCKHOST_STATUS_BAD_PAGE);
}

TEST_F(AttachTest, GarbageIsABadPage) {
  EXPECT_EQ(Map(Write(std::string(4096, 'x')), ""), LOCKHOST_STATUS_BAD_PAGE);
  EXPECT_EQ(pages_.hints, nullptr);
}

TEST_F(AttachTest, OtherVersionIsABadPage) {
  lockhost_hint_header header = GoodHints();
  ++header.abi_version;
  EXPECT_EQ(Map(Write(Bytes(header, 8 * 64)), ""), LOCKHOST_STATUS_BAD_PAGE);
}

TEST_F(AttachTest, BadReportPageCostsTheReportsAlone) {
  const std::string hints = Write(Bytes(GoodHints(), 8 * 64));
  EXPECT_EQ(Map(hints, Write(std::string(4096, 'x'))), LOCKHOST_STATUS_HINTS);
  EXPECT_EQ(pages_.hint_slots, 8u);
  EXPECT_EQ(pages_.reports, nullptr);
  EXPECT_EQ(pages_.report_slots, 0u);
}

TEST_F(AttachTest, APageThatCouldShrinkIsNotMapped) {
  const std::string bytes = Bytes(GoodHints(), 8 * 64);
  EXPECT_EQ(Map(Write(bytes, 0), ""), LOCKHOST_STATUS_UNSEALED);
  EXPECT_EQ(Map(Write(bytes, F_SEAL_GROW), ""), LOCKHOST_STATUS_UNSEALED);
  const std::string file = testing::TempDir() + "attach_test_file";
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  close(fd);
  EXPECT_EQ(Map(file, ""), LOCKHOST_STATUS_UNSEALED);
  std::filesystem::remove(file);
  EXPECT_EQ(pages_.hints, nullptr);
  EXPECT_EQ(Map(Write(bytes), Write(Bytes(GoodReports(), 8 * 128), 0)), LOCKHOST_STATUS_HINTS);
  EXPECT_EQ(pages_.reports, nullptr) << "costs the reports alone";
}

// A guest agent that answers with what the test says, once.
class FakeAgent {
 public:
  FakeAgent(char version, std::vector<int> fds) {
    path_ = testing::TempDir() + "attach_test_" + std::to_string(getpid()) + ".sock";
    unlink(path_.c_str());
    listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    if (version != 0) thread_ = std::thread([this, version, fds] { Answer(version, fds); });
  }
  ~FakeAgent() {
    if (thread_.joinable()) thread_.join();
    close(listener_);
    unlink(path_.c_str());
  }
  const char* path() const { return path_.c_str(); }

 private:
  void Answer(char version, std::vector<int> fds) const {
    const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    iovec text = {.iov_base = &version, .iov_len = 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(3 * sizeof(int))> control{};
    msghdr message = {};
    message.msg_iov = &text;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      cmsghdr* part = CMSG_FIRSTHDR(&message);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
    }
    EXPECT_EQ(sendmsg(peer, &message, 0), 1);
    close(peer);
  }

  std::string path_;
  int listener_ = -1;
  std::thread thread_;
};

size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

TEST_F(AttachTest, TakesTheTwoPagesOfTheAgent) {
  const int hints = Page(Bytes(GoodHints(), 8 * 64));
  const int reports = Page(Bytes(GoodReports(), 8 * 128));
  const size_t before = OpenDescriptors();
  {
    const FakeAgent agent(LOCKHOST_PAGE_ABI_VERSION, {hints, reports});
    EXPECT_EQ(MapPagesOfAgent(agent.path(), &pages_), LOCKHOST_STATUS_HINTS);
  }
  EXPECT_EQ(pages_.hint_slots, 8u);
  EXPECT_EQ(pages_.report_slots, 8u);
  EXPECT_EQ(OpenDescriptors(), before) << "none is kept";
}

TEST_F(AttachTest, WhatIsNoAnswerIsNoPageAndLeavesNothingOpen) {
  const int page = Page(Bytes(GoodHints(), 8 * 64));
  const std::vector<std::pair<char, std::vector<int>>> answers = {
      {LOCKHOST_PAGE_ABI_VERSION, {}},
      {LOCKHOST_PAGE_ABI_VERSION, {page}},
      {LOCKHOST_PAGE_ABI_VERSION + 1, {page, page}}};
  const size_t before = OpenDescriptors();
  for (const auto& [version, fds] : answers) {
    const FakeAgent agent(version, fds);
    EXPECT_EQ(MapPagesOfAgent(agent.path(), &pages_), LOCKHOST_STATUS_NO_PAGE);
  }
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_EQ(MapPagesOfAgent("/nonexistent/socket", &pages_), LOCKHOST_STATUS_NO_PAGE);
  EXPECT_EQ(MapPagesOfAgent(std::string(200, 'x').c_str(), &pages_), LOCKHOST_STATUS_NO_PAGE);
}

TEST_F(AttachTest, AnAgentThatSaysNothingIsNotWaitedForLong) {
  const FakeAgent agent(0, {});  // nobody accepts
  EXPECT_EQ(MapPagesOfAgent(agent.path(), &pages_), LOCKHOST_STATUS_NO_PAGE);
}

// An agent of before, which says one byte, is not asked for threads.
TEST_F(AttachTest, AnOlderAgentGivesPagesWithoutThreads) {
  const int hints = Page(Bytes(GoodHints(), 8 * 64));
  const int reports = Page(Bytes(GoodReports(), 8 * 128));
  const FakeAgent agent(LOCKHOST_PAGE_ABI_VERSION, {hints, reports});
  lockhost_threads threads = {};
  const ThreadWish wish = {.number_offset = -64, .threads = &threads};
  ThreadsState state = {};
  EXPECT_EQ(MapPagesOfAgent(agent.path(), &pages_, &wish, &state), LOCKHOST_STATUS_HINTS);
  EXPECT_EQ(pages_.hint_slots, 8u);
  EXPECT_EQ(state.offer, LOCKHOST_THREADS_UNKNOWN);
  EXPECT_EQ(state.result, LOCKHOST_THREAD_RESULT_NONE);
  EXPECT_FALSE(state.mapped);
  EXPECT_EQ(lockhost_thread_slots(&threads), 0u);
}

constexpr char kFdinfo[] =
    "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1057\nmap_type:\t2\nkey_size:\t4\n"
    "value_size:\t64\nmax_entries:\t1025\nmap_flags:\t0x400\nmap_extra:\t0x0\n"
    "memlock:\t69632\nmap_id:\t9\nfrozen:\t1\n";

TEST(FrozenArrayTest, ReadsFdinfo) {
  EXPECT_EQ(FrozenArrayBytes(kFdinfo, strlen(kFdinfo)), 1025u * 64);
}

TEST(FrozenArrayTest, AnythingElseIsNone) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = kFdinfo;
    text.replace(text.find(from), from.size(), to);
    return FrozenArrayBytes(text.data(), text.size());
  };
  EXPECT_EQ(with("map_type:\t2", "map_type:\t1"), 0u);
  EXPECT_EQ(with("frozen:\t1", "frozen:\t0"), 0u);
  EXPECT_EQ(with("frozen:\t1\n", ""), 0u);
  EXPECT_EQ(with("value_size:\t64", "value_size:\t8"), 0u);
  EXPECT_EQ(with("max_entries:\t1025", "max_entries:\t1"), 0u);
  EXPECT_EQ(with("max_entries:\t1025", "max_entries:\t99999999999999999999"), 0u);
  EXPECT_EQ(with("max_entries:\t1025", "max_entries:\t-5"), 0u);
  for (size_t size = 0; size < strlen(kFdinfo); ++size) {
    EXPECT_EQ(FrozenArrayBytes(kFdinfo, size), 0u) << "cut off after " << size;
  }
}

class ApicIdsTest : public testing::Test {
 protected:
  ApicIdsTest() { std::iota(ids_.begin(), ids_.end(), uint16_t{0}); }
  void Parse(const std::string& text) {
    ParseApicIds(text.data(), text.size(), ids_.data(), static_cast<uint32_t>(ids_.size()));
  }
  std::vector<uint16_t> ids_ = std::vector<uint16_t>(4);
};

TEST_F(ApicIdsTest, ReadsCpuinfo) {
  Parse(
      "processor\t: 0\nmodel name\t: X\napicid\t\t: 8\ninitial apicid\t: 9\n\n"
      "processor\t: 1\napicid\t\t: 10\n");
  EXPECT_EQ(ids_, (std::vector<uint16_t>{8, 10, 2, 3}));
}

TEST_F(ApicIdsTest, KeepsWhatIsNotMentionedOrOutOfRange) {
  Parse(
      "apicid : 7\nprocessor : 9\napicid : 7\nprocessor : 1\napicid : 70000\nprocessor\napicid :");
  EXPECT_EQ(ids_, (std::vector<uint16_t>{0, 1, 2, 3}));
}

TEST_F(ApicIdsTest, SurvivesNonsense) {
  Parse("");
  Parse("processor");
  Parse("processor : 99999999999999999999\napicid : x\n");
  Parse(std::string("\0\n\n:::", 6));
  EXPECT_EQ(ids_, (std::vector<uint16_t>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace lockhost::lock
