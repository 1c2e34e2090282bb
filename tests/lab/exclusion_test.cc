// SPDX-License-Identifier: Apache-2.0
//
// Every subject on overcommitted vCPUs: the counter pair of the critical section holds,
// and the run makes progress, whatever the pages say.
#include <thread>

#include "client/page/hint_page.h"
#include "tests/lab/harness/subject_names.h"
#include "tests/lab/lab_fixture.h"

namespace lockhost::lab {
namespace {

constexpr std::chrono::milliseconds kShort{200};

uint32_t Overcommitted() { return 2 * std::max(2u, std::thread::hardware_concurrency()); }

class ExclusionTest : public LabTest {
 protected:
  // Run() itself fails if exclusion is violated or the run does not come to its end.
  void ExpectSound(Subject subject, const std::function<void()>& during = nullptr) {
    const absl::StatusOr<RunResult> result =
        runner_->Run({.subject = subject, .duration = kShort}, during);
    ASSERT_TRUE(result.ok()) << NameOf(subject) << ": " << result.status();
    EXPECT_EQ(result->exclusion_errors, 0u);
    EXPECT_GT(result->TotalAcquisitions(), 0u) << NameOf(subject);
  }

  // A hint page that says what the test wants it to, for ever.
  lockhost_hint_slot* ForgeHints() {
    auto* page = static_cast<lockhost_hint_header*>(pages_->grpc_page().data());
    page->abi_version = LOCKHOST_PAGE_ABI_VERSION;
    page->header_size = sizeof(lockhost_hint_header);
    page->slot_stride = sizeof(lockhost_hint_slot);
    page->slot_count = LOCKHOST_MAX_SLOTS;
    page->generation = 1;
    page->valid_until_ns = UINT64_MAX;
    page->magic = LOCKHOST_HINT_PAGE_MAGIC;
    return reinterpret_cast<lockhost_hint_slot*>(page + 1);
  }
};

TEST_P(ExclusionTest, HoldsForEverySubject) {
  ASSERT_NO_FATAL_FAILURE(Boot(Overcommitted()));
  if (machine_ == nullptr) return;
  for (uint32_t i = 0; i < kSubjects; ++i) ExpectSound(static_cast<Subject>(i));
}

TEST_P(ExclusionTest, HoldsWithOneVcpu) {
  ASSERT_NO_FATAL_FAILURE(Boot(1));
  if (machine_ == nullptr) return;
  for (uint32_t i = 0; i < kSubjects; ++i) ExpectSound(static_cast<Subject>(i));
}

TEST_P(ExclusionTest, HoldsWhenThePageSaysThatNobodyRuns) {
  ASSERT_NO_FATAL_FAILURE(Boot(Overcommitted()));
  if (machine_ == nullptr) return;
  lockhost_hint_slot* slots = ForgeHints();
  for (uint32_t i = 0; i < machine_->vcpus(); ++i) {
    slots[i].state_word = lockhost_state_word(LOCKHOST_RUN_STATE_PREEMPTED, 1);
  }
  ExpectSound(Subject::kLockhostGrpc);
}

TEST_P(ExclusionTest, HoldsWhenThePageSaysThatEverybodyRuns) {
  ASSERT_NO_FATAL_FAILURE(Boot(Overcommitted()));
  if (machine_ == nullptr) return;
  lockhost_hint_slot* slots = ForgeHints();
  for (uint32_t i = 0; i < machine_->vcpus(); ++i) {
    slots[i].state_word = lockhost_state_word(LOCKHOST_RUN_STATE_RUNNING, 1);
  }
  ExpectSound(Subject::kLockhostGrpc);
}

TEST_P(ExclusionTest, HoldsWhileThePageFillsWithGarbage) {
  ASSERT_NO_FATAL_FAILURE(Boot(Overcommitted()));
  if (machine_ == nullptr) return;
  ForgeHints();
  auto* words = static_cast<uint64_t*>(pages_->grpc_page().data());
  const size_t count = pages_->grpc_page().bytes() / sizeof(uint64_t);
  uint64_t seed = 1;
  ExpectSound(Subject::kLockhostGrpc, [&] {
    for (size_t i = 0; i < count; ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
      __atomic_store_n(&words[i], seed ^ (seed >> 29), __ATOMIC_RELAXED);
    }
  });
}

TEST_P(ExclusionTest, HoldsWhileTheReportPageFillsWithGarbage) {
  ASSERT_NO_FATAL_FAILURE(Boot(Overcommitted()));
  if (machine_ == nullptr) return;
  ForgeHints();
  auto* words = static_cast<uint64_t*>(pages_->reports(/*watched=*/true).data());
  const size_t count = pages_->reports(/*watched=*/true).bytes() / sizeof(uint64_t);
  uint64_t seed = 2;
  ExpectSound(Subject::kLockhostGrpc, [&] {
    for (size_t i = 0; i < count; ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      __atomic_store_n(&words[i], seed, __ATOMIC_RELAXED);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Lab, ExclusionTest, testing::Values(Backend::kKvm, Backend::kThreads),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace lockhost::lab
