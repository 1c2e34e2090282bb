// SPDX-License-Identifier: Apache-2.0
#include "agent/doctor/roots.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/unique_fd.h"

namespace lockhost::doctor {

std::string ReadText(const std::string& path, size_t limit) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::string text;
  char buffer[4096];
  while (file.valid() && text.size() < limit) {
    const ssize_t got = read(file.get(), buffer, sizeof(buffer));
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  if (text.size() > limit) text.resize(limit);
  return text;
}

std::string ReadLine(const std::string& path) {
  const std::string text = ReadText(path, 4096);
  return text.substr(0, text.find('\n'));
}

}  // namespace lockhost::doctor
