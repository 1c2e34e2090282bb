// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/support/lockhostd_process.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <fstream>
#include <iterator>
#include <sstream>

#include "common/unique_fd.h"
#include "tests/agent/support/eventually.h"

namespace lockhost {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// As exec wants them.
std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

int FreePort() {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return ntohs(address.sin_port);
}

std::string HttpGet(int port, const std::string& path) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return "";
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "";
  std::string answer;
  char chunk[4096];
  ssize_t got;
  while ((got = recv(fd.get(), chunk, sizeof(chunk), 0)) > 0) {
    answer.append(chunk, static_cast<size_t>(got));
  }
  return answer;
}

LockhostdProcess::~LockhostdProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void LockhostdProcess::Start(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), LOCKHOST_SERVER_PROGRAM);
  const std::vector<char*> argv = Pointers(&arguments);
  pid_ = fork();
  if (pid_ != 0) return;
  execv(argv[0], argv.data());
  _exit(127);
}

void LockhostdProcess::Start(std::vector<std::string> arguments, const Inherited& inherited) {
  arguments.insert(arguments.begin(), LOCKHOST_SERVER_PROGRAM);
  const std::vector<char*> argv = Pointers(&arguments);
  std::vector<std::string> environment = {
      "LISTEN_FDS=" +
          (inherited.count.empty() ? std::to_string(inherited.fds.size()) : inherited.count),
      "LISTEN_FDNAMES=" + inherited.names, "LISTEN_PID=" + inherited.pid + std::string(20, '\0')};
  const std::vector<char*> envp = Pointers(&environment);
  pid_ = fork();
  if (pid_ != 0) return;
  // Nothing that allocates: another thread may have held the lock for it.
  if (inherited.pid.empty()) {
    std::string& pid = environment.back();
    std::to_chars(pid.data() + pid.find('=') + 1, pid.data() + pid.size() - 1, getpid());
  }
  constexpr int kFirst = 3;        // SD_LISTEN_FDS_START
  constexpr int kOutOfWay = 1000;  // a descriptor to move may lie where another one goes
  const int count = static_cast<int>(inherited.fds.size());
  for (int i = 0; i < count; ++i) dup2(inherited.fds[i], kOutOfWay + i);
  for (int i = 0; i < count; ++i) {
    dup2(kOutOfWay + i, kFirst + i);
  }
  // Nothing else that the test's own parent may have left open.
  close_range(static_cast<unsigned>(kFirst + count), ~0U, 0);
  execve(argv[0], argv.data(), envp.data());
  _exit(127);
}

void LockhostdProcess::Kill(int signal) const { kill(pid_, signal); }

int LockhostdProcess::AwaitExit() {
  int status = 0;
  if (!agent::Eventually([&] { return waitpid(pid_, &status, WNOHANG) != 0; })) return -1;
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

uint64_t LockhostdProcess::RssBytes() const {
  std::istringstream statm(ReadAll("/proc/" + std::to_string(pid_) + "/statm"));
  uint64_t size = 0;
  uint64_t resident = 0;
  statm >> size >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

uint64_t LockhostdProcess::CpuMs() const {
  const std::string stat = ReadAll("/proc/" + std::to_string(pid_) + "/stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;  // proc(5): 14 utime, 15 stime
  uint64_t user = 0;
  uint64_t system = 0;
  fields >> user >> system;
  return (user + system) * 1000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
}

}  // namespace lockhost
