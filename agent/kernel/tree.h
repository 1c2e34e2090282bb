// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_TREE_H_
#define LOCKHOST_AGENT_KERNEL_TREE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "common/unique_fd.h"

// Reads of a kernel's file tree (proc, sysfs), anchored at a directory. What has gone, or
// may not be seen, is empty. Thread-safe.
namespace lockhost::agent {

// At most about `limit_bytes`.
std::string ReadFileAt(const UniqueFd& root, const std::string& path, size_t limit_bytes);

// Names in a folder, "." and ".." left out, in no order.
std::vector<std::string> NamesAt(const UniqueFd& root, const std::string& path);

// Where a symbolic link points; long targets are cut.
std::string ReadLinkAt(const UniqueFd& root, const std::string& path);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_TREE_H_
