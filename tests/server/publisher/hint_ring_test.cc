// SPDX-License-Identifier: Apache-2.0
//
// The ring as lockhostd gets it: a descriptor, and no privilege. Records are put in by a
// BPF program of a few instructions that the test runs.
#include "server/publisher/hint_ring.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <iterator>
#include <vector>

namespace lockhost::server {
namespace {

constexpr uint8_t kLoad64 = BPF_LD | BPF_DW | BPF_IMM;

// Copies the program's context (what the test passes in) to the stack, then calls
// bpf_ringbuf_output(ring, stack, size, BPF_RB_FORCE_WAKEUP).
UniqueFd LoadWriter(int ring, int size) {
  constexpr int kRecord = sizeof(agent::HintEvent);
  std::vector<bpf_insn> program;
  for (int16_t at = 0; at < kRecord; at += 8) {
    program.push_back({BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_2, BPF_REG_1, at, 0});
    program.push_back(
        {BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_2, static_cast<int16_t>(at - kRecord), 0});
  }
  const bpf_insn output[] = {
      {BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0},
      {BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -kRecord},
      {kLoad64, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, ring},
      {0, 0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, size},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, BPF_RB_FORCE_WAKEUP},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  program.insert(program.end(), std::begin(output), std::end(output));
  LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = BPF_F_SLEEPABLE);
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "write_ring", "GPL", program.data(),
                                program.size(), &options));
}

bool Write(const UniqueFd& writer, agent::HintEvent event) {
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &event, .ctx_size_in = sizeof(event));
  return bpf_prog_test_run_opts(writer.get(), &options) == 0;
}

bool Readable(int fd) {
  pollfd poll_fd = {fd, POLLIN, 0};
  return poll(&poll_fd, 1, 20'000) == 1;
}

class HintRingTest : public testing::Test {
 protected:
  void SetUp() override {
    ring_fd_.reset(bpf_map_create(BPF_MAP_TYPE_RINGBUF, "test_ring", 0, 0, 65536, nullptr));
    if (!ring_fd_.valid()) GTEST_SKIP() << "no BPF ring buffer here: " << strerror(errno);
    writer_ = LoadWriter(ring_fd_.get(), sizeof(agent::HintEvent));
    ASSERT_TRUE(writer_.valid()) << strerror(errno);
  }

  UniqueFd ring_fd_;
  UniqueFd writer_;
};

TEST_F(HintRingTest, EventsArriveInOrderAndWakeTheSleeper) {
  auto ring = HintRing::Open(UniqueFd(dup(ring_fd_.get())));
  ASSERT_TRUE(ring.ok()) << ring.status();
  for (uint32_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(Write(
        writer_, {.vm_id = 7, .vm_index = 1, .vcpu_id = i, .state_word = 2, .at_ns = 100 + i}));
  }
  ASSERT_TRUE(Readable((*ring)->epoll_fd()));
  std::vector<agent::HintEvent> events;
  (*ring)->Consume([&](const agent::HintEvent& event) { events.push_back(event); }, [] {});
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].vcpu_id, 2u);
  EXPECT_EQ(events[2].at_ns, 102u);
  EXPECT_EQ(events[0].vm_id, 7u);
  events.clear();
  (*ring)->Consume([&](const agent::HintEvent& event) { events.push_back(event); }, [] {});
  EXPECT_TRUE(events.empty());
}

TEST_F(HintRingTest, RecordsOfAnotherSizeAreReportedAndSkipped) {
  auto ring = HintRing::Open(UniqueFd(dup(ring_fd_.get())));
  const UniqueFd short_writer = LoadWriter(ring_fd_.get(), 8);
  ASSERT_TRUE(short_writer.valid());
  ASSERT_TRUE(Write(short_writer, {}));
  ASSERT_TRUE(Write(writer_, {}));
  int good = 0;
  int bad = 0;
  (*ring)->Consume([&](const agent::HintEvent&) { ++good; }, [&] { ++bad; });
  EXPECT_EQ(good, 1);
  EXPECT_EQ(bad, 1);
}

TEST_F(HintRingTest, NeedsNoPrivilege) {
  if (geteuid() != 0) GTEST_SKIP() << "only root has a privilege to give up";
  ASSERT_TRUE(
      Write(writer_, {.vm_id = 7, .vm_index = 0, .vcpu_id = 0, .state_word = 0, .at_ns = 0}));
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0) _exit(2);
    auto ring = HintRing::Open(UniqueFd(dup(ring_fd_.get())));
    if (!ring.ok()) _exit(3);
    int events = 0;
    (*ring)->Consume([&](const agent::HintEvent&) { ++events; }, [] {});
    _exit(events == 1 ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(HintRingErrorTest, AnotherDescriptorIsRefused) {
  EXPECT_FALSE(HintRing::Open(UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC))).ok());
  EXPECT_FALSE(HintRing::Open(UniqueFd(memfd_create("no ring", MFD_CLOEXEC))).ok());
}

}  // namespace
}  // namespace lockhost::server
