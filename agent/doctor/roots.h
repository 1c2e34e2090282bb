// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DOCTOR_ROOTS_H_
#define LOCKHOST_AGENT_DOCTOR_ROOTS_H_

#include <cstddef>
#include <string>

namespace lockhost::doctor {

// Where the kernel's files are looked for, so that a captured tree can stand in.
struct Roots {
  std::string procfs = "/proc";
  std::string sysfs = "/sys";
  std::string dev = "/dev";
  std::string boot = "/boot";
};

// A file's text, at most `limit` bytes of it; empty if it cannot be read.
std::string ReadText(const std::string& path, size_t limit = 1u << 20);

// The same without the newline at its end.
std::string ReadLine(const std::string& path);

}  // namespace lockhost::doctor

#endif  // LOCKHOST_AGENT_DOCTOR_ROOTS_H_
