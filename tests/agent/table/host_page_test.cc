// SPDX-License-Identifier: Apache-2.0
#include "agent/table/host_page.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>
#include <stop_token>
#include <thread>

#include "agent/table/memfd_table.h"

namespace lockhost::agent {
namespace {

TEST(HostPageTest, TellsWhatWasWrittenLast) {
  const auto writer = HostPageWriter::Create();
  ASSERT_TRUE(writer.ok()) << writer.status();
  const auto reader = HostPageReader::Attach((*writer)->fd());
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->Read()->updated_at_ns, 0u) << "nothing yet";
  HostFigures figures;
  figures.updated_at_ns = 5;
  figures.overcommit = {1.5, 2.5};
  figures.vms[255].vm_id = 7;
  figures.vms[255].kvm_stats[15] = kNotKnown;
  (*writer)->Write(figures);
  const auto read = (*reader)->Read();
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->overcommit, figures.overcommit);
  EXPECT_EQ(read->vms[255].vm_id, 7u);
  EXPECT_EQ(read->vms[255].kvm_stats[15], kNotKnown);
}

TEST(HostPageTest, AReaderNeverSeesHalfOfAWrite) {
  const auto writer = HostPageWriter::Create();
  ASSERT_TRUE(writer.ok());
  const auto reader = HostPageReader::Attach((*writer)->fd());
  // A write every millisecond: a thousand times what the agent does, and yet no reader, however
  // slow its build, meets one in each of its tries.
  const std::jthread writing([&](const std::stop_token& stop) {
    HostFigures figures;
    while (!stop.stop_requested()) {
      ++figures.updated_at_ns;
      figures.vms[255].vm_id = figures.updated_at_ns;
      (*writer)->Write(figures);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  uint64_t last = 0;
  int writes_seen = 0;
  for (int i = 0; i < 500; ++i) {
    const auto figures = (*reader)->Read();
    ASSERT_NE(figures, nullptr) << "read " << i;
    ASSERT_EQ(figures->updated_at_ns, figures->vms[255].vm_id);
    if (figures->updated_at_ns != last) ++writes_seen;
    last = figures->updated_at_ns;
  }
  EXPECT_GT(writes_seen, 1);
}

TEST(HostPageTest, AWriterThatDiedAtWorkLeavesNothingToRead) {
  auto memory = SealedMemory::Create("test", sizeof(HostPage));
  ASSERT_TRUE(memory.ok());
  auto* page = static_cast<HostPage*>(memory->data());
  page->magic = kHostPageMagic;
  page->version = kHostPageVersion;
  page->bytes = sizeof(HostPage);
  const auto reader = HostPageReader::Attach(memory->fd());
  ASSERT_TRUE(reader.ok());
  EXPECT_NE((*reader)->Read(), nullptr);
  page->sequence = 1;
  EXPECT_EQ((*reader)->Read(), nullptr);
}

TEST(HostPageTest, RefusesAnotherVersionAndOtherMemory) {
  auto memory = SealedMemory::Create("test", sizeof(HostPage));
  ASSERT_TRUE(memory.ok());
  auto* page = static_cast<HostPage*>(memory->data());
  EXPECT_TRUE(absl::IsInvalidArgument(HostPageReader::Attach(memory->fd()).status())) << "zeros";
  page->magic = kHostPageMagic;
  page->version = kHostPageVersion + 1;
  page->bytes = sizeof(HostPage);
  EXPECT_TRUE(absl::IsInvalidArgument(HostPageReader::Attach(memory->fd()).status()));
  auto small = SealedMemory::Create("test", 4096);
  EXPECT_TRUE(absl::IsInvalidArgument(HostPageReader::Attach(small->fd()).status()));
}

}  // namespace
}  // namespace lockhost::agent
