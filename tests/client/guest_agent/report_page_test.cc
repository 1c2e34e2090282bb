// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/report_page.h"

#include <gtest/gtest.h>

#include "tests/client/guest_agent/page_file.h"

namespace lockhost::guest_agent {
namespace {

ReportPage OpenPage(const std::string& path, uint32_t slots) {
  auto page = ReportPage::Open(path, slots);
  EXPECT_TRUE(page.ok()) << page.status();
  return *std::move(page);
}

TEST(ReportPageTest, ANewPageIsWritableByAll) {
  TestDirectory directory;
  const ReportPage reports = OpenPage(directory.File("reports"), 16);
  EXPECT_EQ(ModeOf(directory.File("reports")), 0666u);
  const ReportView page(directory.File("reports"));
  EXPECT_EQ(page.bytes(), LOCKHOST_REPORT_PAGE_BYTES(16u));
  EXPECT_EQ(lockhost_check_report_page(page.get(), page.bytes()), 16u);
}

TEST(ReportPageTest, MarksAreTakenOnce) {
  TestDirectory directory;
  ReportPage reports = OpenPage(directory.File("reports"), 16);
  const ReportView page(directory.File("reports"));
  EXPECT_FALSE(reports.AnyAwaited());
  lockhost_report_slot_at(page.get(), 3)->awaited = 1;
  lockhost_report_slot_at(page.get(), 15)->awaited = 0xdeadbeef;
  EXPECT_TRUE(reports.AnyAwaited());
  std::vector<uint32_t> vcpus;
  reports.TakeAwaited(&vcpus);
  EXPECT_EQ(vcpus, (std::vector<uint32_t>{3, 15}));
  EXPECT_EQ(lockhost_report_slot_at(page.get(), 3)->awaited, 0u);
  reports.TakeAwaited(&vcpus);
  EXPECT_TRUE(vcpus.empty());
}

TEST(ReportPageTest, ARingIsWhatDisarms) {
  TestDirectory directory;
  ReportPage reports = OpenPage(directory.File("reports"), 1);
  const ReportView page(directory.File("reports"));
  reports.Arm();
  EXPECT_EQ(page->bell_armed, 1u);
  EXPECT_FALSE(reports.Rung());
  ++page->bell;  // waking the agent is not ringing
  EXPECT_FALSE(reports.Rung());
  page->bell_armed = 0;
  EXPECT_TRUE(reports.Rung());
}

TEST(ReportPageTest, TheCountOfSlotsIsNotReadAgain) {
  TestDirectory directory;
  ReportPage reports = OpenPage(directory.File("reports"), 2);
  const ReportView page(directory.File("reports"));
  page->slot_count = UINT32_MAX;  // an application's doing
  std::vector<uint32_t> vcpus;
  reports.TakeAwaited(&vcpus);
  EXPECT_EQ(reports.slot_count(), 2u);
}

TEST(ReportPageTest, ARestartedAgentRepairsTheHeaderAndKeepsTheMarks) {
  TestDirectory directory;
  const std::string path = directory.File("reports");
  { const ReportPage reports = OpenPage(path, 4); }
  const ReportView page(path);
  lockhost_report_slot_at(page.get(), 2)->awaited = 1;
  page->magic = 0;
  page->slot_count = 4000;
  const ReportPage again = OpenPage(path, 64);
  EXPECT_EQ(again.slot_count(), 4u);  // as many as fit
  EXPECT_EQ(page->magic, LOCKHOST_REPORT_PAGE_MAGIC);
  EXPECT_TRUE(again.AnyAwaited());
}

TEST(ReportPageTest, AFileThatIsTooShortIsRefused) {
  TestDirectory directory;
  MakeFile(directory.File("short"), 64);
  EXPECT_TRUE(absl::IsInvalidArgument(ReportPage::Open(directory.File("short"), 4).status()));
}

}  // namespace
}  // namespace lockhost::guest_agent
