// SPDX-License-Identifier: Apache-2.0

// A Linux guest without KVM: QEMU's translator runs its vCPUs in threads like others, and
// the agent finds them by their names. Needs the Debian packages qemu-system-x86,
// linux-image-cloud-amd64, busybox-static and cpio.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "agent/channel/packet.h"
#include "agent/source/polled_source.h"
#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/temp_dir.h"

namespace lockhost::agent {
namespace {

constexpr int kVcpus = 4;
constexpr std::chrono::seconds kBootPatience{120};
constexpr char kQemu[] = "/usr/bin/qemu-system-x86_64";
constexpr char kBusybox[] = "/bin/busybox";

// Works and rests in turn, so that vCPUs run and halt.
constexpr char kInit[] = R"(#!/bin/busybox sh
/bin/busybox mkdir /proc
/bin/busybox mount -t proc proc /proc
echo "the guest has $(/bin/busybox nproc) CPUs"
while :; do
  i=0
  while [ $i -lt 5000 ]; do i=$((i + 1)); done
  /bin/busybox sleep 1
done
)";

// The newest kernel that Debian's package for virtual machines has installed.
std::string FindKernel() {
  std::set<std::string> kernels;
  std::error_code ignored;
  for (const auto& file : std::filesystem::directory_iterator("/boot", ignored)) {
    const std::string name = file.path().filename();
    if (name.starts_with("vmlinuz-") && name.ends_with("-cloud-amd64")) kernels.insert(file.path());
  }
  return kernels.empty() ? "" : *kernels.rbegin();
}

std::string ReadText(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class TcgTest : public testing::Test {
 protected:
  void SetUp() override {
    kernel_ = FindKernel();
    if (access(kQemu, X_OK) != 0) GTEST_SKIP() << "no qemu-system-x86";
    if (access(kBusybox, X_OK) != 0) GTEST_SKIP() << "no busybox";
    if (kernel_.empty() || access(kernel_.c_str(), R_OK) != 0) {
      GTEST_SKIP() << "no linux-image-cloud-amd64";
    }
    ASSERT_NO_FATAL_FAILURE(MakeInitramfs());
    Boot();
  }
  void TearDown() override {
    if (qemu_ <= 0) return;
    kill(qemu_, SIGKILL);
    waitpid(qemu_, nullptr, 0);
  }

  void MakeInitramfs() {
    const std::string root = directory_.path() + "/root";
    std::filesystem::create_directories(root + "/bin");
    std::filesystem::copy_file(kBusybox, root + "/bin/busybox");
    std::ofstream(root + "/init") << kInit;
    chmod((root + "/init").c_str(), 0755);
    const std::string pack = "cd " + root + " && find . | cpio --quiet -o -H newc > ../initramfs";
    ASSERT_EQ(std::system(pack.c_str()), 0) << "cpio";
  }

  void Boot() {
    const std::string console = "file:" + console_;
    const std::string vcpus = std::to_string(kVcpus);
    const std::string initramfs = directory_.path() + "/initramfs";
    qemu_ = fork();
    if (qemu_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(kQemu, kQemu, "-accel", "tcg,thread=multi", "-name", "guest=tcg-test,debug-threads=on",
          "-smp", vcpus.c_str(), "-m", "256M", "-kernel", kernel_.c_str(), "-initrd",
          initramfs.c_str(), "-append", "console=ttyS0 quiet", "-nodefaults", "-display", "none",
          "-no-reboot", "-serial", console.c_str(), nullptr);
    _exit(127);
  }
  bool HasBooted() const {
    return ReadText(console_).find("the guest has " + std::to_string(kVcpus) + " CPUs") !=
           std::string::npos;
  }

  const TempDir directory_;
  const std::string console_ = directory_.path() + "/console";
  std::string kernel_;
  pid_t qemu_ = 0;
};

// What the agent tells of the VM of that process, once it knows all its vCPUs.
std::optional<ClientVm> AwaitWholeVm(AgentClient& server, pid_t pid) {
  std::optional<ClientVm> found;
  Eventually([&] {
    auto event = server.Await(std::chrono::seconds(1));
    if (!event.ok()) return false;
    auto* vm = std::get_if<VmEvent>(&*event);
    if (vm == nullptr || vm->message.pid != pid || vm->message.vcpu_count != kVcpus) return false;
    found = ClientVm{vm->message, *TableReader::Attach(vm->table.get())};
    return true;
  });
  return found;
}

TEST_F(TcgTest, FindsTheVcpusOfALinuxGuestWithoutKvm) {
  ASSERT_TRUE(Eventually([&] { return HasBooted(); }, kBootPatience)) << ReadText(console_);
  const auto agent = AgentRunner::Start({.source = "procfs"});
  ASSERT_TRUE(agent.ok()) << agent.status();
  auto server = AgentClient::Connect((*agent)->socket());
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_TRUE(server->Subscribe().ok());
  const auto vm = AwaitWholeVm(*server, qemu_);
  ASSERT_TRUE(vm.has_value());
  EXPECT_EQ(FieldText(vm->message.accelerator), "tcg");
  EXPECT_EQ(FieldText(vm->message.vmm), "qemu");
  EXPECT_EQ(FieldText(vm->message.name), "tcg-test");
  EXPECT_EQ(vm->message.memory_bytes, uint64_t{256} << 20);
  bool has_run = false;
  bool has_rested = false;
  EXPECT_TRUE(Eventually([&] {
    for (uint32_t vcpu = 0; vcpu < kVcpus; ++vcpu) {
      const uint32_t state = vm->table->Read(vcpu).run_state();
      has_run |= state == LOCKHOST_RUN_STATE_RUNNING || state == LOCKHOST_RUN_STATE_PREEMPTED;
      has_rested |= state == LOCKHOST_RUN_STATE_EXITED;
    }
    return has_run && has_rested;
  })) << "ran: "
      << has_run << ", rested: " << has_rested;
}

}  // namespace
}  // namespace lockhost::agent
