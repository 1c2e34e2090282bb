// SPDX-License-Identifier: Apache-2.0
//
// under_filter UNIT PROGRAM [ARGUMENT...]: runs a program under the SystemCallFilter= of a
// systemd unit, as systemd would, except that a call outside it ends the process: a service
// that swallows EPERM would hide what its unit forgot. Exits with 77 (skipped) without
// systemd-analyze, which knows what the groups (@system-service) contain.
#include <seccomp.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int kSkipped = 77;

// The system calls of a group, those of the groups within it included.
std::set<std::string> CallsOf(const std::string& name) {
  if (name.front() != '@') return {name};
  const std::string command = "systemd-analyze --no-pager syscall-filter " + name;
  const std::unique_ptr<FILE, int (*)(FILE*)> output(popen(command.c_str(), "r"), pclose);
  std::set<std::string> calls;
  char line[256];
  while (output != nullptr && fgets(line, sizeof(line), output.get()) != nullptr) {
    std::istringstream words(line);
    std::string word;
    if (!(words >> word) || word == name || word.front() == '#') continue;
    calls.merge(CallsOf(word));
  }
  return calls;
}

// Lines add to or, with a tilde, take from what the lines before gave (systemd.exec(5)).
std::set<std::string> AllowedBy(const std::string& unit) {
  std::set<std::string> allowed = CallsOf("@default");
  std::ifstream file(unit);
  const std::string key = "SystemCallFilter=";
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const bool takes = line.compare(key.size(), 1, "~") == 0;
    std::istringstream names(line.substr(key.size() + (takes ? 1 : 0)));
    for (std::string name; names >> name;) {
      for (const std::string& call : CallsOf(name)) {
        if (takes) {
          allowed.erase(call);
        } else {
          allowed.insert(call);
        }
      }
    }
  }
  return allowed;
}

bool Enforce(const std::set<std::string>& allowed) {
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == nullptr) return false;
  for (const std::string& call : allowed) {
    const int number = seccomp_syscall_resolve_name(call.c_str());
    if (number == __NR_SCMP_ERROR) continue;  // of another architecture
    seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
  }
  return seccomp_load(filter) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: under_filter UNIT PROGRAM [ARGUMENT...]\n";
    return 2;
  }
  if (std::system("command -v systemd-analyze > /dev/null") != 0) {
    std::cout << "skipped: no systemd-analyze here\n";
    return kSkipped;
  }
  const std::set<std::string> allowed = AllowedBy(argv[1]);
  if (allowed.size() <= CallsOf("@default").size()) {
    std::cerr << argv[1] << " has no SystemCallFilter=\n";
    return 1;
  }
  if (!Enforce(allowed)) {
    std::cerr << "the kernel does not take the filter\n";
    return 1;
  }
  execv(argv[2], argv + 2);
  std::perror(argv[2]);
  return 1;
}
