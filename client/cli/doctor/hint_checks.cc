// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "client/cli/doctor/guest_checks.h"

namespace lockhost::doctor {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

const char* PathName(uint32_t path) {
  switch (path) {
    case LOCKHOST_PAGE_PATH_GRPC:
      return "grpc";
    case LOCKHOST_PAGE_PATH_DIRECT_MAP:
      return "direct-map";
    case LOCKHOST_PAGE_PATH_DIRECT_FILE:
      return "direct-file";
    default:
      return "unknown";
  }
}

const char* ModeName(uint32_t mode) {
  switch (mode) {
    case LOCKHOST_MODE_DEDICATED:
      return "dedicated";
    case LOCKHOST_MODE_OVERCOMMITTED:
      return "overcommitted";
    default:
      return "not said";
  }
}

Check PageCheck(const GuestFacts& facts) {
  const HintPageFacts& page = facts.page;
  if (page.status.ok()) {
    return Ok("hint page", absl::StrCat(facts.environment.hint_page, ": ", page.slots,
                                        " slots, path ", PathName(page.path), ", generation ",
                                        page.generation, ", mode ", ModeName(page.mode)));
  }
  if (absl::IsNotFound(page.status)) {
    return Problem(
        "hint page",
        absl::StrCat("no ", facts.environment.hint_page, ": lockhost-guestd has not run here"),
        "systemctl enable --now lockhost-guestd");
  }
  if (absl::IsPermissionDenied(page.status)) {
    return Problem("hint page",
                   absl::StrCat("this user may not read ", facts.environment.hint_page),
                   "chmod a+r it, and see that its folder can be entered by all (0755)");
  }
  return Problem("hint page", std::string(page.status.message()),
                 "remove it and restart lockhost-guestd of the library's version");
}

Check LeaseCheck(const HintPageFacts& page) {
  if (page.valid_until_ns > page.looked_at_ns) {
    return Ok("lease", "fresh: the host was heard, hints are believed");
  }
  if (page.valid_until_ns == 0) {
    return Problem("lease", "the host was never heard since the page was made",
                   "systemctl status lockhost-guestd; its --host must lead to the socket that "
                   "lockhostd has for this VM");
  }
  return Problem("lease",
                 absl::StrCat("ran out ", (page.looked_at_ns - page.valid_until_ns) / kNsPerSecond,
                              " s ago: hints are not believed"),
                 "systemctl status lockhost-guestd here, and lockhost doctor on the host");
}

// Nobody needs them for hints to flow.
Check ThreadsCheck(lockhost_threads_offer offer) {
  switch (offer) {
    case LOCKHOST_THREADS_ON:
      return Ok("threads", "lockhost-guestd tells each process which of its threads run");
    case LOCKHOST_THREADS_OFF:
      return Ok("threads", "not known: lockhost-guestd runs with --threads=off");
    case LOCKHOST_THREADS_UNPRIVILEGED:
      return Ok("threads",
                "not known: lockhost-guestd lacks CAP_BPF and CAP_PERFMON, which the drop-in "
                "lockhost-guestd-threads.conf gives it");
    case LOCKHOST_THREADS_NO_BTF:
      return Warning("threads", "not known: the kernel has no BTF", "a kernel with BTF");
    case LOCKHOST_THREADS_PID_NAMESPACE:
      return Warning("threads", "not known: lockhost-guestd is not in the first pid namespace",
                     "run it outside containers");
    default:
      return Warning("threads", "not known: the kernel does not take the BPF programs",
                     "journalctl -u lockhost-guestd says why");
  }
}

Check ApplicationCheck(const EnvironmentFacts& environment) {
  if (environment.lock_status == LOCKHOST_STATUS_BAD_SETTING) {
    return Problem("applications", environment.lock_description,
                   "unset LOCKHOST_HINTS and LOCKHOST_MODE, or give them such a value");
  }
  if (environment.lock_status == LOCKHOST_STATUS_UNSEALED) {
    return Problem("applications", environment.lock_description,
                   "unset LOCKHOST_HINT_PAGE: lockhost-guestd hands sealed pages over");
  }
  if (!environment.hints_off && !environment.lock_description.empty()) {
    return Ok("applications",
              absl::StrCat("programs started from here: ", environment.lock_description));
  }
  if (!environment.hints_off) {
    return Ok("applications", "programs started from here use hints (LOCKHOST_HINTS is not off)");
  }
  return Problem("applications", "LOCKHOST_HINTS=off: programs started from here ignore hints",
                 "unset LOCKHOST_HINTS");
}

}  // namespace

Checks HintChecks(const GuestFacts& facts) {
  Checks checks = {PageCheck(facts)};
  if (facts.page.status.ok()) checks.push_back(LeaseCheck(facts.page));
  if (facts.page.threads != LOCKHOST_THREADS_UNKNOWN) {
    checks.push_back(ThreadsCheck(facts.page.threads));
  }
  checks.push_back(ApplicationCheck(facts.environment));
  return checks;
}

}  // namespace lockhost::doctor
