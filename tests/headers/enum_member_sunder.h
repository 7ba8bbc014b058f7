enum e { _enum };
