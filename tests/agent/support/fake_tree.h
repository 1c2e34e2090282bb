// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_FAKE_TREE_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_FAKE_TREE_H_

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/agent/support/temp_dir.h"

namespace lockhost::agent {

// A kernel's file tree (`proc`, `sys`) that the test makes up; removed at the end.
class FakeTree {
 public:
  const std::string& path() const { return directory_.path(); }
  std::string proc() const { return path() + "/proc"; }
  std::string sys() const { return path() + "/sys"; }

  void Put(const std::string& name, const std::string& text) {
    std::ofstream(Parent(name), std::ios::binary) << text;
  }
  void Link(const std::string& name, const std::string& target) {
    const std::filesystem::path link = Parent(name);
    std::filesystem::remove(link);
    std::filesystem::create_symlink(target, link);
  }
  void Remove(const std::string& name) { std::filesystem::remove_all(path() + "/" + name); }

  // A process with one thread of its own number. Its stat line is a real one, for its form
  // is the kernel's own.
  void PutProcess(int pid, const std::string& name) {
    const std::string process = "proc/" + std::to_string(pid);
    std::string text;
    std::getline(std::ifstream("/proc/self/stat"), text);
    Put(process + "/stat", std::to_string(pid) + text.substr(text.find(" (")) + "\n");
    PutThread(pid, pid, name);
  }
  void PutThread(int pid, int tid, const std::string& name) {
    Put("proc/" + std::to_string(pid) + "/task/" + std::to_string(tid) + "/comm", name + "\n");
  }
  void PutVcpuFd(int pid, int fd, int vcpu_id) {
    Link("proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd),
         "anon_inode:kvm-vcpu:" + std::to_string(vcpu_id));
  }
  // What debugfs shows of a VM ("PID-FD"): the thread that ran this vCPU last.
  void PutDebugfs(const std::string& vm, const std::string& vcpu_id, const std::string& tid) {
    Put("sys/kernel/debug/kvm/" + vm + "/vcpu" + vcpu_id + "/pid", tid + "\n");
  }
  // Pids of the tree are those of the host.
  void PutInitialPidNamespace() { Link("proc/1/ns/pid", "pid:[4026531836]"); }

 private:
  std::filesystem::path Parent(const std::string& name) {
    const std::filesystem::path file = path() + "/" + name;
    std::filesystem::create_directories(file.parent_path());
    return file;
  }

  TempDir directory_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_FAKE_TREE_H_
