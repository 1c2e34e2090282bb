// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_HARNESS_RUN_DIRECTORY_H_
#define LOCKHOST_TESTS_LAB_HARNESS_RUN_DIRECTORY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::lab {

// A directory for sockets and logs, removed at the end. What a killed process left
// behind is removed when the next one makes its own: a directory whose lock file is not
// locked belongs to nobody. Not thread-safe.
class RunDirectory {
 public:
  // Below `parent`; empty: $XDG_RUNTIME_DIR, or /tmp when that is unset or when daemons
  // will run as another user, who could not get there.
  static absl::StatusOr<std::unique_ptr<RunDirectory>> Create(const std::string& parent = "");
  ~RunDirectory();

  const std::string& path() const { return path_; }
  // A directory below it that belongs to `uid` and that others may only pass through.
  absl::StatusOr<std::string> MakeFor(const std::string& name, uid_t uid, gid_t gid) const;

 private:
  RunDirectory(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  const std::string path_;
  const UniqueFd lock_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_RUN_DIRECTORY_H_
