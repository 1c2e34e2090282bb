// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_BPF_PINS_H_
#define LOCKHOST_AGENT_SOURCE_BPF_PINS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// The directory in a BPF file system that keeps maps, programs, links and tables alive
// while no agent runs. Everything of one build lies in a folder of its own,
//
//   <directory>/layout-<fingerprint>/{map_*,prog_*,link_*,tables/<vm_id>}
//
// so two builds never mix: an agent that finds another layout retires it. Links are
// pinned last and removed first; a folder without all of them is never adopted.
//
// Holds a lock on the directory: one agent at a time. Not thread-safe.
class BpfPins {
 public:
  // Makes the directory and the layout's folder. Errors: FAILED_PRECONDITION not a BPF
  // file system; ALREADY_EXISTS another agent uses it.
  static absl::StatusOr<std::unique_ptr<BpfPins>> Open(const std::string& directory,
                                                       uint64_t fingerprint);

  // Path of a pin ("map_vms") in the layout's folder.
  std::string Path(const std::string& name) const;
  std::string TablePath(uint64_t vm_id) const;

  // Names in the layout's folder, and ids of the pinned tables.
  std::vector<std::string> Names() const;
  std::vector<uint64_t> Tables() const;

  // Retires every other layout; returns the names of those that were there.
  std::vector<std::string> RetireOthers();
  // Retires this layout, and makes its folder anew, empty.
  absl::Status StartAfresh();

 private:
  BpfPins(std::string directory, std::string layout, UniqueFd lock)
      : directory_(std::move(directory)), layout_(std::move(layout)), lock_(std::move(lock)) {}
  absl::Status MakeFolders() const;

  std::string directory_;
  std::string layout_;
  UniqueFd lock_;
};

// Removes all that any agent pinned below `directory`, and the directory: detaches the
// programs, and makes the tables say "no hint" to whoever still maps them. OK if there
// is nothing.
absl::Status RemoveAllPins(const std::string& directory);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_BPF_PINS_H_
