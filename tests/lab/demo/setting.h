// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_DEMO_SETTING_H_
#define LOCKHOST_TESTS_LAB_DEMO_SETTING_H_

#include "tests/lab/demo/results.h"
#include "tests/lab/harness/session.h"

namespace lockhost::lab {

// CPUs that this process may use.
uint32_t UsableCpus();

// Where the demo runs and what the agent works with. REQUIRES: the session's daemons are up.
Setting LookAround(Session& session);

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_DEMO_SETTING_H_
