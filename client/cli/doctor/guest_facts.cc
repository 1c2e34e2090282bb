// SPDX-License-Identifier: Apache-2.0
#include "client/cli/doctor/guest_facts.h"

#include <fcntl.h>
#include <sys/klog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/doctor/proc_facts.h"
#include "client/lock/attach.h"
#include "client/page/hint_reader.h"
#include "common/unique_fd.h"

namespace lockhost::doctor {
namespace {

constexpr char kDefaultPageSocket[] = "/run/lockhost-guest/pages.sock";
constexpr int kSyslogReadAll = 3;      // SYSLOG_ACTION_READ_ALL, syslog(2)
constexpr int kSyslogSizeBuffer = 10;  // SYSLOG_ACTION_SIZE_BUFFER

const char* Variable(const char* name) {
  return getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread is started
}

const char* SettingOr(const char* name, const char* otherwise) {
  const char* value = Variable(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

// The page as an application gets it: what the agent's socket gives, or a file.
UniqueFd OpenHintPage(const std::string& path, lockhost_threads_offer* threads) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) {
    return UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  lock::AgentAnswer answer;
  if (!lock::ReceivePages(path.c_str(), /*number_offset=*/nullptr, &answer)) {
    errno = ECONNREFUSED;
    return UniqueFd();
  }
  close(answer.report_fd);
  *threads = answer.threads.offer;
  return UniqueFd(answer.hint_fd);
}

}  // namespace

std::optional<uint64_t> ParseStealTicks(std::string_view stat) {
  const absl::string_view line(stat.data(), std::min(stat.find('\n'), stat.size()));
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
  uint64_t ticks = 0;
  if (fields.size() < 9 || fields[0] != "cpu" || !absl::SimpleAtoi(fields[8], &ticks)) {
    return std::nullopt;
  }
  return ticks;
}

std::string FindSpinlockLine(std::string_view log) {
  const size_t at = log.rfind("PV spinlocks ");
  if (at == std::string_view::npos) return "";
  return std::string(log.substr(at, log.find('\n', at) - at));
}

HintPageFacts ReadHintPage(const std::string& path, uint64_t now_ns) {
  HintPageFacts facts;
  const UniqueFd file = OpenHintPage(path, &facts.threads);
  if (!file.valid()) {
    facts.status = absl::ErrnoToStatus(errno, path);
    return facts;
  }
  struct stat info {};
  lockhost_hint_header header{};
  if (fstat(file.get(), &info) != 0 ||
      pread(file.get(), &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) {
    facts.status = absl::InvalidArgumentError(path + " is too short for a hint page");
    return facts;
  }
  facts.slots = lockhost_check_hint_page(&header, static_cast<uint64_t>(info.st_size));
  if (facts.slots == 0) {
    facts.status = absl::InvalidArgumentError(path + " is no hint page of this version");
  }
  facts.mode = header.mode;
  facts.path = header.path;
  facts.generation = header.generation;
  facts.valid_until_ns = header.valid_until_ns;
  facts.looked_at_ns = now_ns;
  return facts;
}

EnvironmentFacts ReadEnvironment() {
  EnvironmentFacts facts;
  facts.hints_off = std::string_view(SettingOr("LOCKHOST_HINTS", "on")) == "off";
  facts.hint_page =
      SettingOr("LOCKHOST_HINT_PAGE", SettingOr("LOCKHOST_PAGE_SOCKET", kDefaultPageSocket));
  facts.lock_status = lockhost_attach();
  std::array<char, 400> text{};
  lockhost_describe(text.data(), text.size());
  facts.lock_description = text.data();
  return facts;
}

std::string ReadKernelLog() {
  const int size = klogctl(kSyslogSizeBuffer, nullptr, 0);
  if (size <= 0) return "";
  std::string log(static_cast<size_t>(size), '\0');
  const int got = klogctl(kSyslogReadAll, log.data(), size);
  log.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return log;
}

GuestFacts ReadGuestFacts(const Roots& roots, const Cpuid& cpuid, std::string_view kernel_log,
                          const EnvironmentFacts& environment, uint64_t now_ns) {
  GuestFacts facts;
  const std::string release = ReadLine(absl::StrCat(roots.procfs, "/sys/kernel/osrelease"));
  facts.hypervisor = ReadHypervisor(cpuid);
  facts.config = ReadKernelConfig(roots, release);
  facts.command_line = ReadLine(absl::StrCat(roots.procfs, "/cmdline"));
  facts.spinlock_log = FindSpinlockLine(kernel_log);
  facts.possible_cpus =
      CountCpus(ReadLine(absl::StrCat(roots.sysfs, "/devices/system/cpu/possible")));
  if (const auto ticks = ParseStealTicks(ReadText(absl::StrCat(roots.procfs, "/stat")))) {
    facts.steal_s = static_cast<double>(*ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  facts.environment = environment;
  facts.page = ReadHintPage(environment.hint_page, now_ns);
  return facts;
}

}  // namespace lockhost::doctor
