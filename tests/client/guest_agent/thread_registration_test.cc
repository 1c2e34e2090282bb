// SPDX-License-Identifier: Apache-2.0
//
// Who gets a thread page, and who does not: what peers may send, limits, ends of processes.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <vector>

#include "client/lock/attach.h"
#include "common/unique_fd.h"
#include "tests/client/guest_agent/thread_host.h"
#include "tests/client/lock/library_pages.h"

namespace lockhost::guest_agent {
namespace {

constexpr lockhost_thread_request kGood = {.magic = LOCKHOST_THREAD_REQUEST_MAGIC,
                                           .abi_version = LOCKHOST_PAGE_ABI_VERSION,
                                           .number_offset = -64,
                                           .reserved = {}};

UniqueFd Connect(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

struct Heard {
  std::string text;
  std::vector<UniqueFd> fds;
};

Heard Hear(const UniqueFd& connection, size_t room) {
  Heard heard;
  heard.text.resize(room);
  iovec text = {heard.text.data(), room};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> control{};
  msghdr message = {};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC);
  heard.text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  const cmsghdr* part = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  for (size_t i = 0; part != nullptr && i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
    int fd = -1;
    memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
    heard.fds.emplace_back(fd);
  }
  return heard;
}

// What the desk answers to these bytes on a connection of its own; *page is what came along.
uint32_t Ask(const std::string& socket, const void* bytes, size_t size, UniqueFd* page = nullptr) {
  const UniqueFd connection = Connect(socket);
  Hear(connection, 2);
  EXPECT_EQ(send(connection.get(), bytes, size, 0), static_cast<ssize_t>(size));
  Heard heard = Hear(connection, 64);
  lockhost_thread_reply reply = {};
  EXPECT_EQ(heard.text.size(), sizeof(reply));
  memcpy(&reply, heard.text.data(), std::min(heard.text.size(), sizeof(reply)));
  EXPECT_EQ(heard.fds.size(), reply.result == LOCKHOST_THREAD_RESULT_GRANTED ? 1u : 0u);
  if (page != nullptr && !heard.fds.empty()) *page = std::move(heard.fds[0]);
  return reply.result;
}

uint32_t Ask(const std::string& socket, const lockhost_thread_request& request) {
  return Ask(socket, &request, sizeof(request));
}

TEST(ThreadRegistrationTest, GarbageIsRefusedAndCounted) {
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  std::vector<lockhost_thread_request> bad(6, kGood);
  bad[0].magic = 0;
  ++bad[1].abi_version;
  bad[2].number_offset = 3;  // across a word's end
  bad[3].number_offset = LOCKHOST_MAX_NUMBER_OFFSET;
  bad[4].number_offset = -LOCKHOST_MAX_NUMBER_OFFSET;
  bad[5].number_offset = INT64_MIN;
  for (const auto& request : bad) {
    EXPECT_EQ(Ask(host.socket(), request), LOCKHOST_THREAD_RESULT_BAD_REQUEST);
  }
  const std::string bytes(200, 'x');
  for (const size_t size : {1, 31, 33, 200}) {
    EXPECT_EQ(Ask(host.socket(), bytes.data(), size), LOCKHOST_THREAD_RESULT_BAD_REQUEST) << size;
  }
  std::string longer(reinterpret_cast<const char*>(&kGood), sizeof(kGood));
  longer += "x";
  EXPECT_EQ(Ask(host.socket(), longer.data(), longer.size()), LOCKHOST_THREAD_RESULT_BAD_REQUEST);
  EXPECT_EQ(host.Results(LOCKHOST_THREAD_RESULT_BAD_REQUEST), 11u);
  EXPECT_EQ(host.stats().processes.load(), 0u);
  EXPECT_NE(host.stats().ToJson().find("\"threads_bad_requests\":11"), std::string::npos);
}

TEST(ThreadRegistrationTest, APageCanBeReadAndNothingElse) {
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  UniqueFd page;
  ASSERT_EQ(Ask(host.socket(), &kGood, sizeof(kGood), &page), LOCKHOST_THREAD_RESULT_GRANTED);
  EXPECT_EQ(mmap(nullptr, 64, PROT_READ | PROT_WRITE, MAP_SHARED, page.get(), 0), MAP_FAILED);
  const uint32_t entry = 1;
  const lockhost_thread_slot forged = {};
  EXPECT_NE(bpf_map_update_elem(page.get(), &entry, &forged, BPF_ANY), 0);
  const lockhost_hint_header lease = {};
  lockhost_threads threads = {};
  ASSERT_TRUE(lock::MapThreadPage(page.get(), &lease, &threads));
  EXPECT_EQ(lockhost_thread_slots(&threads), LOCKHOST_MAX_THREAD_SLOTS);
  EXPECT_FALSE(lockhost_threads_valid(&threads, 0)) << "the lease is another page's";
}

TEST(ThreadRegistrationTest, OnlyAFrozenArrayIsTakenForAPage) {
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "test", sizeof(uint32_t),
                                    sizeof(lockhost_thread_slot), 4, &options));
  ASSERT_TRUE(map.valid());
  const lockhost_thread_header header = {.magic = LOCKHOST_THREAD_PAGE_MAGIC,
                                         .abi_version = LOCKHOST_PAGE_ABI_VERSION,
                                         .header_size = 64,
                                         .slot_stride = 64,
                                         .slot_count = 1000,
                                         .reserved0 = 0,
                                         .generation = 1,
                                         .reserved = {}};
  const uint32_t first = 0;
  ASSERT_EQ(bpf_map_update_elem(map.get(), &first, &header, BPF_ANY), 0);
  const lockhost_hint_header lease = {};
  lockhost_threads threads = {};
  EXPECT_FALSE(lock::MapThreadPage(map.get(), &lease, &threads)) << "not frozen";
  ASSERT_EQ(bpf_map_freeze(map.get()), 0);
  EXPECT_TRUE(lock::MapThreadPage(map.get(), &lease, &threads));
  EXPECT_EQ(threads.slot_count, 3u) << "as many as it has, whatever it says";
  const UniqueFd memory(memfd_create("page", MFD_CLOEXEC));
  ASSERT_EQ(write(memory.get(), &header, sizeof(header)), 64);
  EXPECT_FALSE(lock::MapThreadPage(memory.get(), &lease, &threads));
  EXPECT_FALSE(lock::MapThreadPage(-1, &lease, &threads));
  EXPECT_EQ(threads.page, nullptr);
}

TEST(ThreadRegistrationTest, OncePerProcessUntilItEnds) {
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  InChild([&host] {
    EXPECT_EQ(Ask(host.socket(), kGood), LOCKHOST_THREAD_RESULT_GRANTED);
    EXPECT_EQ(Ask(host.socket(), kGood), LOCKHOST_THREAD_RESULT_ALREADY);
  });
  EXPECT_TRUE(Eventually([&] { return host.stats().processes.load() == 0; }));
  EXPECT_EQ(host.Results(LOCKHOST_THREAD_RESULT_GRANTED), 1u);
  EXPECT_EQ(host.Results(LOCKHOST_THREAD_RESULT_ALREADY), 1u);
}

TEST(ThreadRegistrationTest, AtMostSoManyOfOneUser) {
  const ThreadHost host(
      {.processes = 8, .of_one_user = 2, .grants_per_second = 1, .grants_at_once = 9});
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    int said[2];
    ASSERT_EQ(pipe(said), 0);
    const pid_t child = fork();
    if (child == 0) {
      const auto result = static_cast<char>(Ask(host.socket(), kGood));
      if (write(said[1], &result, 1) == 1) pause();
      _exit(0);
    }
    children.push_back(child);
    char result = 0;
    ASSERT_EQ(read(said[0], &result, 1), 1);
    EXPECT_EQ(static_cast<uint32_t>(result),
              i < 2 ? LOCKHOST_THREAD_RESULT_GRANTED : LOCKHOST_THREAD_RESULT_TOO_MANY);
    close(said[0]);
    close(said[1]);
  }
  EXPECT_EQ(host.stats().processes.load(), 2u);
  for (const pid_t child : children) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  EXPECT_TRUE(Eventually([&] { return host.stats().processes.load() == 0; }));
  EXPECT_EQ(Ask(host.socket(), kGood), LOCKHOST_THREAD_RESULT_GRANTED) << "there is room again";
}

// Their memory can be kept for longer than they live.
TEST(ThreadRegistrationTest, ProcessesThatComeAndGoGetPagesAtABoundedRate) {
  const ThreadHost host(
      {.processes = 8, .of_one_user = 8, .grants_per_second = 1, .grants_at_once = 2});
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  for (int i = 0; i < 50 && host.Results(LOCKHOST_THREAD_RESULT_TOO_MANY) == 0; ++i) {
    InChild([&host] { Ask(host.socket(), kGood); });
  }
  EXPECT_GE(host.Results(LOCKHOST_THREAD_RESULT_GRANTED), 2u);
  EXPECT_GE(host.Results(LOCKHOST_THREAD_RESULT_TOO_MANY), 1u);
}

// An older library reads one byte, wants two descriptors, and asks for nothing.
TEST(ThreadRegistrationTest, AnOlderLibraryGetsWhatItAlwaysGot) {
  const ThreadHost host;
  const UniqueFd connection = Connect(host.socket());
  const Heard heard = Hear(connection, 1);
  EXPECT_EQ(heard.text, std::string(1, LOCKHOST_PAGE_ABI_VERSION));
  EXPECT_EQ(heard.fds.size(), 2u);
}

TEST(ThreadRegistrationTest, ManyWhoSayNothingDoNotKeepOthersOut) {
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(Connect(host.socket()));
  EXPECT_EQ(Ask(host.socket(), kGood), LOCKHOST_THREAD_RESULT_GRANTED);
}

// With the two capabilities, and no other.
void KeepCapabilities(uint64_t wanted) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    const auto bits = static_cast<uint32_t>(wanted >> 32 * half);
    data[half] = {.effective = bits, .permitted = bits, .inheritable = 0};
  }
  ASSERT_EQ(syscall(SYS_capset, &header, data), 0);
}

TEST(ThreadRegistrationTest, TwoCapabilitiesAreEnoughAndNoneIsTooFew) {
  if (geteuid() != 0) GTEST_SKIP() << "not root: no capabilities to keep";
  InChild([] {
    KeepCapabilities(uint64_t{1} << CAP_BPF | uint64_t{1} << CAP_PERFMON);
    const auto programs = ThreadPrograms::Load();
    EXPECT_TRUE(programs.ok()) << programs.status().ToString();
  });
  InChild([] {
    KeepCapabilities(0);
    const auto programs = ThreadPrograms::Load();
    EXPECT_TRUE(absl::IsPermissionDenied(programs.status())) << programs.status().ToString();
    EXPECT_EQ(OfferOf(programs.status()), LOCKHOST_THREADS_UNPRIVILEGED);
  });
}

}  // namespace
}  // namespace lockhost::guest_agent
