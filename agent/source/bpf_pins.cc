// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_pins.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/kernel/proc_parse.h"

namespace lockhost::agent {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kBpfFsMagic = 0xcafe4a11;
constexpr char kLayoutPrefix[] = "layout-";
constexpr char kLinkPrefix[] = "link_";

bool OnBpfFs(const fs::path& path) {
  struct statfs status;
  return statfs(path.c_str(), &status) == 0 && static_cast<uint64_t>(status.f_type) == kBpfFsMagic;
}

std::vector<std::string> NamesIn(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  return names;
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("make ", path));
}

// Lets the layout's own code clear the tables that it wrote: frozen, nobody else can.
void RunRetire(const std::string& layout) {
  const UniqueFd program(bpf_obj_get(absl::StrCat(layout, "/prog_retire").c_str()));
  if (!program.valid()) return;  // died before it had pinned it, hence before any table
  LIBBPF_OPTS(bpf_test_run_opts, options);
  bpf_prog_test_run_opts(program.get(), &options);
}

void RetireLayout(const std::string& layout) {
  for (const std::string& name : NamesIn(layout)) {
    if (name.starts_with(kLinkPrefix)) unlink(absl::StrCat(layout, "/", name).c_str());
  }
  RunRetire(layout);
  std::error_code ignored;
  fs::remove_all(layout, ignored);
}

absl::StatusOr<UniqueFd> LockDirectory(const std::string& directory) {
  UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", directory));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK) {
    return absl::AlreadyExistsError(absl::StrCat("another agent uses ", directory));
  }
  return absl::ErrnoToStatus(errno, absl::StrCat("lock ", directory));
}

}  // namespace

absl::StatusOr<std::unique_ptr<BpfPins>> BpfPins::Open(const std::string& directory,
                                                       uint64_t fingerprint) {
  const fs::path parent = fs::path(directory).parent_path();
  if (!OnBpfFs(directory) && !OnBpfFs(parent)) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory, " is not on a BPF file system (mount -t bpf bpf /sys/fs/bpf)"));
  }
  if (absl::Status status = MakeDirectory(directory); !status.ok()) return status;
  auto lock = LockDirectory(directory);
  if (!lock.ok()) return lock.status();
  const std::string layout = absl::StrFormat("%s/%s%016x", directory, kLayoutPrefix, fingerprint);
  std::unique_ptr<BpfPins> pins(new BpfPins(directory, layout, *std::move(lock)));
  if (absl::Status status = pins->MakeFolders(); !status.ok()) return status;
  return pins;
}

absl::Status BpfPins::MakeFolders() const {
  if (absl::Status status = MakeDirectory(layout_); !status.ok()) return status;
  return MakeDirectory(Path("tables"));
}

std::string BpfPins::Path(const std::string& name) const {
  return absl::StrCat(layout_, "/", name);
}

std::string BpfPins::TablePath(uint64_t vm_id) const {
  return absl::StrCat(layout_, "/tables/", vm_id);
}

std::vector<std::string> BpfPins::Names() const { return NamesIn(layout_); }

std::vector<uint64_t> BpfPins::Tables() const {
  std::vector<uint64_t> ids;
  for (const std::string& name : NamesIn(Path("tables"))) {
    if (const auto id = ParseNumber(name)) ids.push_back(*id);
  }
  return ids;
}

std::vector<std::string> BpfPins::RetireOthers() {
  std::vector<std::string> retired;
  for (const std::string& name : NamesIn(directory_)) {
    const std::string path = absl::StrCat(directory_, "/", name);
    if (!name.starts_with(kLayoutPrefix) || path == layout_) continue;
    RetireLayout(path);
    retired.push_back(name);
  }
  return retired;
}

absl::Status BpfPins::StartAfresh() {
  RetireLayout(layout_);
  return MakeFolders();
}

absl::Status RemoveAllPins(const std::string& directory) {
  if (!fs::exists(directory)) return absl::OkStatus();
  if (!OnBpfFs(directory)) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory, " is not on a BPF file system: nothing removed"));
  }
  const auto lock = LockDirectory(directory);
  if (!lock.ok()) return lock.status();
  for (const std::string& name : NamesIn(directory)) {
    if (name.starts_with(kLayoutPrefix)) RetireLayout(absl::StrCat(directory, "/", name));
  }
  if (rmdir(directory.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("remove ", directory));
  }
  return absl::OkStatus();
}

}  // namespace lockhost::agent
