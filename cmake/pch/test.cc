#include "cmake/pch/test.h"
