// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_PROC_PARSE_H_
#define LOCKHOST_AGENT_KERNEL_PROC_PARSE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Pure parsers of what /proc says. A thread may choose its own name, so names are
// hostile: they may hold spaces, parentheses and newlines. Nothing here reads a file;
// nullopt means "not of this form". Thread-safe.
namespace lockhost::agent {

// From /proc/PID/stat or /proc/PID/task/TID/stat.
struct ProcStat {
  pid_t id = 0;
  std::string name;
  char state = '?';          // 'R', 'S', 'D', ...
  uint64_t start_ticks = 0;  // since boot, in clock ticks; with the id, names it for ever
};
std::optional<ProcStat> ParseStat(std::string_view text);

// From /proc/PID/task/TID/schedstat.
struct ProcSchedstat {
  uint64_t run_ns = 0;    // spent on a CPU
  uint64_t delay_ns = 0;  // spent runnable without one: KVM's steal time
  uint64_t runs = 0;      // times it was put on a CPU
};
std::optional<ProcSchedstat> ParseSchedstat(std::string_view text);

// From /proc/loadavg: threads that run or wait for a CPU at this moment.
std::optional<uint32_t> ParseRunnableThreads(std::string_view text);

// /proc/PID/cmdline: arguments, each ended by NUL. The views point into `text`.
std::vector<std::string_view> ParseCmdline(std::string_view text);

// A decimal number and nothing else.
std::optional<uint64_t> ParseNumber(std::string_view text);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_PROC_PARSE_H_
