#pragma once
typedef int part_id;
struct part { part_id id; };
