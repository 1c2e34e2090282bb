// SPDX-License-Identifier: Apache-2.0
//
// The VMM against its guest: arguments are checked, a guest that breaks is told apart,
// clocks agree.
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <ctime>
#include <fstream>

#include "tests/lab/lab_fixture.h"
#include "tests/lab/vmm/hypercalls.h"

namespace lockhost::lab {
namespace {

constexpr std::chrono::seconds kSoon{20};

class HypercallsTest : public testing::Test {
 protected:
  HypercallsTest() {
    space_.Set(Region::kRam,
               {.address = 0x1000, .host = Bytes(ram_), .bytes = sizeof(ram_), .writable = true});
    space_.Set(
        Region::kReports,
        {.address = 0x9000, .host = Bytes(reports_), .bytes = sizeof(reports_), .writable = true});
    space_.Set(
        Region::kTable,
        {.address = 0xf000, .host = Bytes(table_), .bytes = sizeof(table_), .writable = false});
  }

  template <typename T>
  static std::byte* Bytes(T& memory) {
    return reinterpret_cast<std::byte*>(memory.data());
  }
  absl::Status Call(Port port, LabAddress address) {
    HypercallArgs args = {};
    args.address = address;
    args.expected = 1;  // never the word's value: no wait sleeps
    args.timeout_ns = UINT64_MAX;
    return Hypercalls(&space_).Handle(static_cast<uint16_t>(port), args).status();
  }

  AddressSpace space_;
  std::array<uint32_t, 1024> ram_ = {};
  std::array<uint32_t, 1024> reports_ = {};
  std::array<uint32_t, 1024> table_ = {};
};

TEST_F(HypercallsTest, WordsOfTheRightRegionAreTaken) {
  for (const LabAddress address : {0x1000u, 0x1004u, 0x1ffcu}) {
    EXPECT_TRUE(Call(Port::kWait, address).ok()) << address;
    EXPECT_TRUE(Call(Port::kKick, address).ok()) << address;
  }
  EXPECT_TRUE(Call(Port::kRing, 0x9020).ok());
}

TEST_F(HypercallsTest, TheTimesOfRingsAreTakenOnce) {
  Hypercalls hypercalls(&space_);
  HypercallArgs args = {};
  args.address = 0x9020;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(hypercalls.Handle(static_cast<uint16_t>(Port::kRing), args).ok());
  }
  const std::vector<uint64_t> rings = hypercalls.TakeRings();
  ASSERT_EQ(rings.size(), 2u);
  EXPECT_LE(rings[0], rings[1]);
  EXPECT_TRUE(hypercalls.TakeRings().empty());
}

TEST_F(HypercallsTest, AnyOtherAddressIsRefused) {
  const LabAddress wrong[] = {0,      0xffc,  0x1001, 0x1002,         0x1ffd,
                              0x2000, 0x9000, 0xf000, UINT64_MAX - 3, UINT64_MAX - 2};
  for (const LabAddress address : wrong) {
    EXPECT_TRUE(absl::IsInvalidArgument(Call(Port::kWait, address))) << address;
    EXPECT_TRUE(absl::IsInvalidArgument(Call(Port::kKick, address))) << address;
  }
  for (const LabAddress address : {LabAddress{0x1000}, LabAddress{0xa000}, LabAddress{0xf000}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Call(Port::kRing, address))) << address;
  }
}

TEST_F(HypercallsTest, AnUnknownPortIsRefused) {
  for (const uint16_t port : {uint16_t{0}, uint16_t{0x80}, uint16_t{0x516}, uint16_t{0xffff}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Hypercalls(&space_).Handle(port, {}).status()));
  }
}

TEST_F(HypercallsTest, APanicMessageNeedNotEndAndMayBeBinary) {
  HypercallArgs args = {};
  std::memset(args.message, '\x01', sizeof(args.message));
  std::memcpy(args.message, "lost", 4);
  const absl::Status panic =
      Hypercalls(&space_).Handle(static_cast<uint16_t>(Port::kPanic), args).status();
  EXPECT_TRUE(absl::IsAborted(panic));
  EXPECT_NE(panic.message().find("guest panic: lost???"), std::string::npos) << panic;
}

// Guest code of its own, so that it can do what the lab guest never would.
class HostileGuestTest : public testing::Test {
 protected:
  static absl::Status Boot(std::initializer_list<uint8_t> code) {
    const std::vector<uint8_t> image(code);
    return MakeKvmMachine(1, std::as_bytes(std::span(image))).status();
  }
  void SetUp() override {
    const absl::Status status = MakeKvmMachine(1, GuestImage()).status();
    if (absl::IsUnavailable(status)) GTEST_SKIP() << status;
    ASSERT_TRUE(status.ok()) << status;
  }
};

TEST_F(HostileGuestTest, UnknownPort) {
  // mov $0x80, %dx; out %al, (%dx)
  const absl::Status status = Boot({0x66, 0xba, 0x80, 0x00, 0xee});
  EXPECT_NE(status.message().find("port 0x80 does not exist"), std::string::npos) << status;
}

TEST_F(HostileGuestTest, WaitOnAnAddressOutsideItsMemory) {
  // The arguments of vCPU 0 lie at 0x1000000: address = -1; then port kWait.
  static_assert(kVcpuBlocks == 0x1000000);
  const absl::Status status = Boot({0x48, 0xc7, 0x04, 0x25, 0x00, 0x00, 0x00, 0x01, 0xff, 0xff,
                                    0xff, 0xff, 0x66, 0xba, 0x11, 0x05, 0xef});
  EXPECT_NE(status.message().find("wait: 0xffffffffffffffff"), std::string::npos) << status;
}

TEST_F(HostileGuestTest, MemoryThatIsNotThere) {
  // mov 0x3f000000, %al: within the page tables, in no slot
  const absl::Status status = Boot({0x8a, 0x04, 0x25, 0x00, 0x00, 0x00, 0x3f});
  EXPECT_FALSE(status.ok());
}

TEST_F(HostileGuestTest, AnInvalidInstructionEndsTheVcpuAlone) {
  EXPECT_FALSE(Boot({0x0f, 0x0b}).ok());  // ud2, with no handler: triple fault
}

TEST(Machine, RefusesImagesAndCountsThatItCannotHold) {
  EXPECT_FALSE(MakeKvmMachine(1, {}).ok());
  EXPECT_FALSE(MakeKvmMachine(0, GuestImage()).ok());
  EXPECT_FALSE(MakeKvmMachine(kMaxVcpus + 1, GuestImage()).ok());
  EXPECT_FALSE(MakeThreadMachine(0).ok());
  const std::vector<std::byte> huge(kImageBytes + 1);
  EXPECT_FALSE(MakeKvmMachine(1, huge).ok());
}

class MachineTest : public LabTest {};

TEST_P(MachineTest, ThreadsAreNamedAfterTheirVcpus) {
  ASSERT_NO_FATAL_FAILURE(Boot(3));
  if (machine_ == nullptr) return;
  for (uint32_t i = 0; i < 3; ++i) {
    std::ifstream comm("/proc/self/task/" + std::to_string(machine_->vcpu_tids()[i]) + "/comm");
    std::string name;
    std::getline(comm, name);
    EXPECT_EQ(name, "lab-vcpu " + std::to_string(i));
  }
}

// The guest stamps its clock at the end of each turn of the busy loop; that stamp must
// lie between two readings of ours, to the microsecond.
TEST_P(MachineTest, TheGuestsClockIsTheHosts) {
  ASSERT_NO_FATAL_FAILURE(Boot(2));
  if (machine_ == nullptr) return;
  const auto now_ns = [] {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  };
  uint64_t seen = 0;
  int64_t worst = INT64_MAX;
  const absl::Status ran = runner_->Busy(kSoon, [&] {
    const uint64_t stamp = __atomic_load_n(&machine_->stats(0).last_seen_ns, __ATOMIC_ACQUIRE);
    if (stamp == 0) return false;
    // Watch the stamp change: it then is as old as one look.
    for (int i = 0; i < 200'000; ++i) {
      const uint64_t before = now_ns();
      const uint64_t now = __atomic_load_n(&machine_->stats(0).last_seen_ns, __ATOMIC_ACQUIRE);
      const uint64_t after = now_ns();
      if (now == seen) continue;
      const bool fresh = seen != 0;
      seen = now;
      if (!fresh) continue;
      EXPECT_LE(now, after + 1'000);  // never from the future
      worst = std::min(worst, static_cast<int64_t>(before) - static_cast<int64_t>(now));
    }
    return worst != INT64_MAX && worst < 1'000;
  });
  EXPECT_TRUE(ran.ok()) << ran << "; closest stamp was " << worst << " ns old";
}

TEST_P(MachineTest, ARunStopsAndStartsAgain) {
  ASSERT_NO_FATAL_FAILURE(Boot(2));
  if (machine_ == nullptr) return;
  for (int i = 0; i < 20; ++i) {
    const absl::StatusOr<RunResult> result = runner_->Run(
        {.subject = Subject::kSpinThenFutex, .duration = std::chrono::milliseconds(5)});
    ASSERT_TRUE(result.ok()) << result.status();
  }
}

TEST_P(MachineTest, APageThatIsHiddenIsNotAssigned) {
  ASSERT_NO_FATAL_FAILURE(Boot(2));
  if (machine_ == nullptr) return;
  EXPECT_TRUE(pages_->DetachTable().ok());
  RunConfig config = {};
  pages_->Assign(Subject::kLockhostDirect, /*watched=*/false, config);
  EXPECT_EQ(config.hints, 0u);
  EXPECT_EQ(config.oracle, 0u);
}

INSTANTIATE_TEST_SUITE_P(Lab, MachineTest, testing::Values(Backend::kKvm, Backend::kThreads),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace lockhost::lab
