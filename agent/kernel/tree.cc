// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>

namespace lockhost::agent {

std::string ReadFileAt(const UniqueFd& root, const std::string& path, size_t limit_bytes) {
  const UniqueFd file(openat(root.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  while (file.valid() && text.size() < limit_bytes) {
    const ssize_t size = read(file.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(buffer, static_cast<size_t>(size));
  }
  return text;
}

std::vector<std::string> NamesAt(const UniqueFd& root, const std::string& path) {
  std::vector<std::string> names;
  const int fd = openat(root.get(), path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(fd), &closedir);
  if (directory == nullptr) {
    close(fd);
    return names;
  }
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

std::string ReadLinkAt(const UniqueFd& root, const std::string& path) {
  char target[64];
  const ssize_t size = readlinkat(root.get(), path.c_str(), target, sizeof(target));
  return size > 0 ? std::string(target, static_cast<size_t>(size)) : std::string();
}

}  // namespace lockhost::agent
