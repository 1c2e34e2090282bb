// SPDX-License-Identifier: Apache-2.0
//
// A process that this one starts and that never outlives it: the kernel kills it when
// its parent goes, however that happens (PR_SET_PDEATHSIG).
#ifndef LOCKHOST_TESTS_LAB_HARNESS_CHILD_PROCESS_H_
#define LOCKHOST_TESTS_LAB_HARNESS_CHILD_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lockhost::lab {

// Whose rights a child has: none but those of this user, no capabilities, and no way to
// get any.
struct Unprivileged {
  uid_t uid;
  gid_t gid;
};

struct ChildSpec {
  std::string name;                  // for messages
  std::vector<std::string> argv;     // argv[0] is the path of the program
  std::optional<Unprivileged> user;  // absent: as this process
  std::vector<int> inherited_fds;    // kept open in the child, under the same numbers
  std::string log_path;              // gets its stdout and stderr
};

// Not thread-safe. Movable.
class ChildProcess {
 public:
  ChildProcess() = default;
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  // Kills it if it still runs.
  ~ChildProcess();

  // Errors: what of fork or exec failed (also in the child).
  // REQUIRES: called by a thread that lives as long as the child is wanted, because the
  // kernel takes the end of that very thread for the end of the parent.
  static absl::StatusOr<ChildProcess> Start(const ChildSpec& spec);

  pid_t pid() const { return pid_; }
  bool started() const { return pid_ > 0; }
  // OK while it runs; else ABORTED with how it ended and the end of its log.
  absl::Status Check();
  // The end of its log, with its name; empty if it said nothing.
  std::string LastWords() const;
  // SIGTERM, then, after `patience`, SIGKILL.
  void Stop(std::chrono::milliseconds patience = std::chrono::seconds(3));
  // SIGKILL at once.
  void Kill();

 private:
  bool Reap(bool wait);

  pid_t pid_ = -1;
  int status_ = 0;  // of waitpid, once pid_ is -1 again
  std::string name_;
  std::string log_path_;
};

// The last lines of a log, for an error message; empty if there is none.
std::string TailOf(const std::string& path, size_t bytes = 600);

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_CHILD_PROCESS_H_
