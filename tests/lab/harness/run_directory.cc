// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lockhost::lab {
namespace {

namespace fs = std::filesystem;

constexpr char kPrefix[] = "lockhost-lab-";
constexpr char kLockName[] = "/lock";

std::string DefaultParent() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (geteuid() != 0 && runtime != nullptr && runtime[0] == '/') return runtime;
  return "/tmp";
}

bool IsOurs(const std::string& path) {
  struct stat facts;
  return lstat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode) && facts.st_uid == geteuid();
}

// Valid if nobody else holds it.
UniqueFd TakeLock(const std::string& directory, int flags) {
  UniqueFd lock(
      open((directory + kLockName).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
  if (lock.valid() && flock(lock.get(), LOCK_EX | LOCK_NB) != 0) lock.reset();
  return lock;
}

void RemoveLeftOvers(const std::string& parent) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent, ignored)) {
    const std::string path = entry.path().string();
    if (!absl::StartsWith(entry.path().filename().string(), kPrefix) || !IsOurs(path)) continue;
    if (TakeLock(path, 0).valid()) fs::remove_all(path, ignored);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunDirectory>> RunDirectory::Create(const std::string& parent) {
  const std::string base = parent.empty() ? DefaultParent() : parent;
  RemoveLeftOvers(base);
  std::string path = absl::StrCat(base, "/", kPrefix, "XXXXXX");
  if (mkdtemp(path.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("making a directory in ", base));
  }
  UniqueFd lock = TakeLock(path, O_CREAT | O_EXCL);
  if (!lock.valid() || chmod(path.c_str(), 0711) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("locking ", path));
  }
  return std::unique_ptr<RunDirectory>(new RunDirectory(std::move(path), std::move(lock)));
}

RunDirectory::~RunDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

absl::StatusOr<std::string> RunDirectory::MakeFor(const std::string& name, uid_t uid,
                                                  gid_t gid) const {
  const std::string path = absl::StrCat(path_, "/", name);
  if (mkdir(path.c_str(), 0711) != 0) return absl::ErrnoToStatus(errno, "making " + path);
  if (geteuid() == 0 && chown(path.c_str(), uid, gid) != 0) {
    return absl::ErrnoToStatus(errno, "giving away " + path);
  }
  return path;
}

}  // namespace lockhost::lab
