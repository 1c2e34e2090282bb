// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/procfs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/agent/support/temp_dir.h"

namespace lockhost::agent {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

class CapturedProc {
 public:
  CapturedProc() {
    Put("77/stat", "77 (kvm) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 999 0 0\n");
    Put("77/cmdline", std::string("kvm\0-name\0web\0", 14));
    Put("77/task/77/comm", "kvm\n");
    Put("77/task/78/comm", "CPU 1/KVM\n");
    Put("77/task/78/stat", "78 (CPU 1/KVM) R 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1000 0 0\n");
    Put("77/task/78/schedstat", "10 20 30\n");
    Put("self/stat", "nothing that counts");
    Put("meminfo", "nothing that counts");
    std::filesystem::create_directories(path() + "/77/fd");
    std::filesystem::create_symlink("anon_inode:kvm-vcpu:1", path() + "/77/fd/9");
  }
  const std::string& path() const { return directory_.path(); }

 private:
  void Put(const std::string& name, const std::string& text) {
    const std::filesystem::path file = path() + "/" + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }
  TempDir directory_;
};

TEST(ProcfsTest, ReadsCapturedTree) {
  const CapturedProc proc;
  const auto procfs = Procfs::Open(proc.path());
  ASSERT_TRUE(procfs.ok());
  EXPECT_THAT(procfs->Processes(), ElementsAre(77));
  EXPECT_THAT(procfs->Threads(77), testing::UnorderedElementsAre(77, 78));
  EXPECT_EQ(procfs->Stat(77)->start_ticks, 999u);
  EXPECT_EQ(procfs->ThreadStat(77, 78)->state, 'R');
  EXPECT_EQ(procfs->ThreadName(77, 78), "CPU 1/KVM");
  EXPECT_EQ(procfs->Describe(77).name, "web");
  EXPECT_TRUE(procfs->HoldsVcpus(77));
  const UniqueFd file = procfs->OpenThreadFile(77, 78, "schedstat");
  EXPECT_EQ(ReadAgain(file), "10 20 30\n");
  EXPECT_EQ(ReadAgain(file), "10 20 30\n");
}

TEST(ProcfsTest, WhatIsNotThereIsNoError) {
  const CapturedProc proc;
  const auto procfs = Procfs::Open(proc.path());
  EXPECT_FALSE(procfs->Stat(1).has_value());
  EXPECT_FALSE(procfs->ThreadStat(77, 1).has_value());
  EXPECT_THAT(procfs->Threads(1), IsEmpty());
  EXPECT_EQ(procfs->ThreadName(1, 1), "");
  EXPECT_EQ(procfs->Describe(1), VmmFacts{});
  EXPECT_FALSE(procfs->HoldsVcpus(1));
  EXPECT_FALSE(procfs->OpenThreadFile(77, 78, "missing").valid());
  EXPECT_EQ(ReadAgain(UniqueFd()), "");
  EXPECT_TRUE(absl::IsNotFound(Procfs::Open(proc.path() + "/none").status()));
}

TEST(ProcfsTest, SeesThisProcess) {
  const auto procfs = Procfs::Open();
  ASSERT_TRUE(procfs.ok());
  EXPECT_THAT(procfs->Processes(), Contains(getpid()));
  EXPECT_THAT(procfs->Threads(getpid()), Contains(gettid()));
  EXPECT_EQ(procfs->Stat(getpid())->id, getpid());
}

TEST(ProcfsTest, OpenFileOfAnEndedThreadReadsAsEmpty) {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const auto procfs = Procfs::Open();
  const UniqueFd file = procfs->OpenThreadFile(child, child, "schedstat");
  EXPECT_NE(ReadAgain(file), "");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(ReadAgain(file), "");
}

}  // namespace
}  // namespace lockhost::agent
